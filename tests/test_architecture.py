"""The import rule, and what else docs/architecture.md promises of the code's shape.

Everything here reads the sources; only the last tests start a process, to see what a command
really loads.
"""

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from duyet.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT = {
    "model": {"model"},
    "training": {"training", "model"},
    "service": {"service", "model"},
    "duyet": {"duyet", "service", "training", "model"},
}
"""Which of our packages each may use. The command line alone mounts both sides."""

ONLY_THIRD_PARTY = {
    "confusable_homoglyphs",
    "cryptography",
    "disposable_email_domains",
    "email_validator",
    "idna",
    "nh3",
    "numpy",
    "obstore",
    "publicsuffixlist",
    "rensa",
}
"""What the domain may use besides the standard library."""

OUTSIDE = {
    "asyncio",
    "ftplib",
    "http",
    "multiprocessing",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "urllib.request",
}
"""Doors of the standard library to networks, databases and processes; shut to the domain."""

HEAVY = {"joblib", "matplotlib", "pandas", "scipy", "sklearn"}
LATE = {"alembic", "dns", "jinja2"}
"""What a start does without: imported for a migration, a lookup, a page."""

SERVING = {
    "alembic",
    "fastapi",
    "psycopg",
    "pydantic_settings",
    "sqlalchemy",
    "sqlite3",
    "starlette",
    "uvicorn",
}

VAGUE = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}

BROAD_EXCEPTS = {
    ("model.judging", "_facts"): "one reading of a submission",
    ("model.judging", "_recalled"): "one look at what was learnt",
    ("model.judging", "_scored"): "one score",
    ("model.rejudging", "log_odds_of"): "one score",
    ("model.rules", "hits"): "one rule",
    ("service.api.direct", "__call__"): "the edge of one route, as in service.problems",
    ("service.api.straight", "_tried"): "the edge of one route, as in service.problems",
    ("service.api.guard", "__call__"): "the edge of protocols with words of their own",
    ("service.learning", "_advance"): "the learning of one site",
    ("service.moderation", "_answers"): "one batch, to find the one submission at fault",
    ("service.shadow", "_compared"): "one comment in the challenger's shadow",
    ("service.work_thread", "_outcome"): "what is handed back to whoever asked",
    ("service.web.rendering", "with_pages"): "the edge of pages, which people read",
    ("service.problems", "__call__"): "the edge, behind which the server prints what it gets",
}
"""The only places that may catch whatever comes."""


@dataclass(frozen=True)
class Module:
    """One source file. `name` is dotted; a package is named like its directory."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Import:
    """One imported name, as fully spelled as the statement spells it."""

    module: Module
    target: str
    line: int
    indented: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.module.path.relative_to(ROOT)}:{self.line} imports {self.target}"


def _modules() -> Iterator[Module]:
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield Module(name, path, ast.parse(path.read_text("utf-8")))


MODULES = {module.name: module for module in _modules()}


def _imports(module: Module) -> Iterator[Import]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.path}:{node.lineno}: imports are spelled in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(module, name, node.lineno, indented=node.col_offset > 0)


IMPORTS = [found for module in MODULES.values() for found in _imports(module)]


def imports_of(package: str) -> list[Import]:
    return [found for found in IMPORTS if found.module.package == package]


def touching(found: list[Import], forbidden: set[str]) -> list[str]:
    """The imports of anything in `forbidden` or below it."""
    return [
        str(each)
        for each in found
        if any(each.target == name or each.target.startswith(f"{name}.") for name in forbidden)
    ]


# ------------------------------------------------------------------ directions


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_is_not_empty(package: str) -> None:
    assert len(imports_of(package)) > 5  # or the walk saw nothing and every test here is idle


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_between_our_packages_point_down(package: str) -> None:
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package]

    assert touching(imports_of(package), forbidden) == []


def test_nothing_imports_tests_or_benchmarks() -> None:
    assert touching(IMPORTS, {"tests", "benchmarks"}) == []


def test_the_domain_uses_the_standard_library_numpy_and_readers_of_text() -> None:
    known = sys.stdlib_module_names | ONLY_THIRD_PARTY | {"model"}

    assert [str(found) for found in imports_of("model") if found.top not in known] == []


@pytest.mark.parametrize(
    ("library", "module"), [("cryptography", "model.signing"), ("obstore", "model.bucket")]
)
def test_what_a_registry_needs_is_used_in_one_module(library: str, module: str) -> None:
    """Docs/adr/0031 and docs/adr/0034 say why the domain has them at all."""
    users = {each.module.name for each in imports_of("model") if each.top == library}

    assert users == {module}


def test_the_domain_has_no_door_to_the_outside() -> None:
    assert touching(imports_of("model"), OUTSIDE) == []


def test_the_domain_reads_no_environment() -> None:
    read = [
        f"{module.path.relative_to(ROOT)}:{node.lineno}"
        for module in MODULES.values()
        if module.package == "model"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
    ]

    assert read == []
    assert touching(imports_of("model"), {"os.environ", "os.getenv"}) == []


@pytest.mark.parametrize("package", ["model", "service"])
def test_what_serves_does_not_import_what_fits(package: str) -> None:
    assert touching(imports_of(package), HEAVY) == []


def test_training_imports_nothing_of_a_service() -> None:
    assert touching(imports_of("training"), SERVING) == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """By the module that defines a name; that a module loads its package first is no edge."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in IMPORTS:
        owner = found.target if found.target in MODULES else found.target.rpartition(".")[0]
        if owner in MODULES and owner != found.module.name:
            graph[found.module.name].add(owner)

    try:
        TopologicalSorter(graph).prepare()
        circle: list[str] = []
    except CycleError as error:
        circle = error.args[1]

    assert circle == []


# ------------------------------------------------------------------ places and names


def comments_in(path: Path) -> dict[int, str]:
    """The comment of each line that has one."""
    with tokenize.open(path) as file:
        return {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(file.readline)
            if token.type == tokenize.COMMENT
        }


def reason_in(comment: str) -> bool:
    """Whether a comment says why, beyond what it says to a tool."""
    said = re.sub(r"(noqa|type: ignore)\S*( [A-Z]+[0-9]+,?)*", "", comment)
    return len(said.split()) >= 3


def test_an_import_that_is_not_at_the_top_says_why() -> None:
    unexplained = [
        str(found)
        for found in IMPORTS
        if found.indented and not reason_in(comments_in(found.module.path).get(found.line, ""))
    ]

    assert unexplained == []


def test_only_the_command_line_imports_by_name() -> None:
    by_name = {
        module.name
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and ast.unparse(node).rpartition(".")[2] in {"import_module", "__import__", "run_module"}
    }

    assert by_name == {"duyet.cli"}


def test_no_module_has_a_name_for_anything_and_everything() -> None:
    assert [name for name in MODULES if VAGUE & set(re.split(r"[._]", name))] == []


def test_every_module_says_what_it_knows() -> None:
    assert [name for name, module in MODULES.items() if not ast.get_docstring(module.tree)] == []


def _catches_all(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in caught
    )


def broad_excepts() -> Iterator[tuple[Module, str, int]]:
    """Module, innermost function and line of each handler that catches whatever comes."""
    for module in MODULES.values():
        functions = [
            node
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        for node in ast.walk(module.tree):
            if not _catches_all(node):
                continue
            line = node.lineno  # type: ignore[attr-defined]  # it is an ExceptHandler
            around = [f for f in functions if f.lineno <= line <= (f.end_lineno or 0)]
            yield module, max(around, key=lambda f: f.lineno).name if around else "", line


def test_whatever_comes_is_caught_in_the_stated_places_only() -> None:
    found = sorted((module.name, function) for module, function, _ in broad_excepts())

    assert found == sorted(BROAD_EXCEPTS)


def test_each_broad_except_says_why_on_its_line() -> None:
    unexplained = [
        f"{module.path.relative_to(ROOT)}:{line}"
        for module, _, line in broad_excepts()
        if not reason_in(comments_in(module.path).get(line, ""))
    ]

    assert unexplained == []


def test_nothing_suppresses_whatever_comes() -> None:
    suppressed = [
        f"{module.path.relative_to(ROOT)}:{node.lineno}"
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and {ast.unparse(kind) for kind in node.args} & {"Exception", "BaseException"}
    ]

    assert suppressed == []


def test_no_pickle_is_opened_where_comments_are_judged() -> None:
    forbidden = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"}

    assert touching(imports_of("model") + imports_of("service"), forbidden) == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_pickle_is_opened_anywhere(package: str) -> None:
    """Training too reads arrays and JSON alone; joblib is there for processes."""
    forbidden = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib.load"}
    calls = [
        f"{module.path.relative_to(ROOT)}:{node.lineno}"
        for module in MODULES.values()
        if module.package == package
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"joblib.load", "np.load", "numpy.load"}
        and "allow_pickle=False" not in ast.unparse(node)
    ]

    assert touching(imports_of(package), forbidden) == []
    assert calls == []


# ------------------------------------------------------------------ what really gets loaded


@pytest.mark.parametrize("command", ["serve", "migrate", "export", "score"])
def test_a_command_that_serves_loads_nothing_that_fits(command: str) -> None:
    program = (
        "import sys; from duyet.cli import COMMANDS\n"
        f"COMMANDS[{command!r}].load()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True, text=True
    )

    loaded = set(answer.stdout.split())
    assert command in COMMANDS
    assert "model" in loaded
    assert loaded & HEAVY == set()


def test_the_application_itself_loads_nothing_that_fits_or_can_come_later() -> None:
    program = (
        "import sys, service.app\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True, text=True
    )

    loaded = set(answer.stdout.split())
    assert loaded & (HEAVY | LATE | {"training"}) == set()
