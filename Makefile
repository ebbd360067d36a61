# Each target works alone in a fresh clone; only Python 3.11+, git and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install serve test test-clients test-doors test-browser test-wordpress screenshots lint format types lock bench bench-quality bench-year drill clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "duyet needs Python 3.11 or newer; found " + sys.version.split()[0] + ". Name one with: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# What compiles the model's kernel where the system has no compiler.
$(VENV)/.compiler: requirements-build.lock | $(BIN)/python
	@set -- $${CC:-cc}; command -v "$$1" >/dev/null || { set -x; \
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock; }
	@touch $@

# Dependencies first, by hash; then the project itself, built with what was just installed.
$(VENV)/.installed: requirements.lock pyproject.toml setup.py model/kernel.c model/glance.c training/slopes.c $(VENV)/.compiler
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.installed  ## prepare .venv from the lock

serve: install  ## install, then run the service on 127.0.0.1:8000
	$(BIN)/duyet serve

TEST_PROCESSES ?= 2
test: $(VENV)/.installed-dev  ## install, then run all tests
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

test-clients: $(VENV)/.installed-dev  ## install real clients of other protocols, then test with them
	PYTHON=$(BIN)/python scripts/install-clients
	$(BIN)/python -m pytest tests/clients

DOORS_EXAMPLES ?= 2000
test-doors: $(VENV)/.installed-dev  ## schemathesis at every door, at length: DOORS_EXAMPLES of each call
	PYTHON=$(BIN)/python scripts/install-clients
	DOORS_EXAMPLES=$(DOORS_EXAMPLES) $(BIN)/python -m pytest -s tests/clients/test_schemathesis.py

SEEN ?=
SEEN_DATA ?=
test-browser: $(VENV)/.installed-dev  ## every page in a real Chromium: SEEN=complete for all ways, SEEN_DATA=DIR of labelled files
	scripts/install-browser
	SEEN=$(SEEN) SEEN_DATA=$(SEEN_DATA) $(BIN)/python -m pytest -n $(TEST_PROCESSES) tests/browser

test-wordpress: $(VENV)/.installed-dev  ## a real WordPress with its Akismet plugin, asking here
	$(BIN)/python -m pytest tests/wordpress

drill: $(VENV)/.installed-dev  ## break everything on purpose, at length: goal and result of each
	DRILL=complete $(BIN)/python -m pytest tests/faults

lint: $(VENV)/.installed-dev  ## format and style, checked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.installed-dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed-dev  ## mypy, strict
	$(BIN)/mypy

lock: $(VENV)/.installed-dev  ## pin the newest allowed versions again
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -c requirements.lock -o requirements-dev.lock
	echo schemathesis | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o scripts/schemathesis.lock
	echo 'moto[s3,server]' | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o scripts/moto.lock
	echo ziglang | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements-build.lock

DATA ?= data
bench: $(VENV)/.installed  ## measure speed, memory and start against their goals: DATA=DIR of labelled files
	$(BIN)/python -m benchmarks --data $(DATA)

bench-quality: $(VENV)/.installed  ## measure quality by held-out group: DATA=DIR of labelled files
	$(BIN)/python -m benchmarks.quality --data $(DATA)

bench-year: $(VENV)/.installed  ## replay a scripted year with and without the loop: DATA=DIR of labelled files
	$(BIN)/python -m benchmarks.year --data $(DATA)

screenshots: $(VENV)/.installed-dev  ## take docs/screenshots anew
	$(BIN)/python scripts/screenshots.py

clean:  ## remove .venv and caches (never ./var)
	rm -rf $(VENV) build model/libkernel.so *.egg-info .mypy_cache .ruff_cache .pytest_cache
