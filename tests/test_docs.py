"""The documentation is true: what exists is in it, and what is in it exists.

The examples of docs/api.md are sent to a real service, in order, and answered as they say.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel
from starlette.routing import Route

from duyet.cli import COMMANDS
from model.policy import Policy
from model.promise import RISKS, comments_needed
from model.rules import RULES
from service.api.schemas import CommentIn
from service.metrics import Metrics
from service.problems import KINDS
from service.settings import Settings, variable
from tests.api_page import answers, differences, service

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md")]
    + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
)
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text("utf-8") for name in names)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def rows_of(text: str) -> list[list[str]]:
    """The cells of every table row that begins with something in code."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in text.splitlines()
        if line.startswith("| `")
    ]


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# ------------------------------------------------------------------ what exists is written down


def test_every_rule_has_its_row_and_every_row_its_rule() -> None:
    written = [
        (row[0].strip("`"), row[3].partition(":")[0]) for row in rows_of(text_of("docs/rules.md"))
    ]

    real = [(rule.name, "trust" if rule.trust else rule.effect.word) for rule in RULES]

    assert written == real


def test_the_numbers_of_the_rules_are_the_default_policy_s() -> None:
    written = dict(
        re.findall(r"`(max_links|flood_seconds|trust_after)` \((\d+)\)", text_of("docs/rules.md"))
    )

    policy = Policy()

    assert {name: float(value) for name, value in written.items()} == {
        "max_links": policy.max_links,
        "flood_seconds": policy.flood_seconds,
        "trust_after": policy.trust_after,
    }


def test_the_risks_of_the_promise_page_are_the_default_policy_s() -> None:
    page = text_of("docs/promise.md")
    written = {
        row[0].strip("`"): float(row[1]) for row in rows_of(page) if row[0].endswith("risk`")
    }
    needed = re.findall(r"([\d,]+) for ([\d.]+) %", page)

    policy = Policy()

    assert written == {"reject_risk": policy.reject_risk, "queue_risk": policy.queue_risk}
    assert f"from {RISKS[0]} to {RISKS[-1]}" in page
    assert {int(n.replace(",", "")): float(risk) / 100 for n, risk in needed} == {
        comments_needed(risk): risk for risk in (0.01, 0.005, 0.001)
    }


def test_every_setting_has_its_row_and_every_row_its_setting() -> None:
    written = {row[0].strip("`") for row in rows_of(text_of("docs/operating.md"))}

    real = {variable(name) for name in Settings.model_fields}

    assert {name for name in written if name.startswith("DUYET_")} == real


def test_every_metric_has_its_row_and_every_row_its_metric() -> None:
    written = {row[0].strip("`") for row in rows_of(text_of("docs/operating.md"))}
    named = re.findall(r"^# HELP (duyet_\w+)", Metrics().text()[0].decode(), re.MULTILINE)
    real = {name for name in named if not name.endswith("_created")}  # when counting began

    assert {name for name in written if name.startswith("duyet_")} == real


def test_every_problem_has_its_row_and_every_row_its_problem() -> None:
    section = text_of("docs/api.md").partition("\n## Problems\n")[2].partition("\n## ")[0]
    written = {row[0].strip("`"): int(row[1]) for row in rows_of(section)}

    assert written == {code: kind.status for code, kind in KINDS.items()}


def test_every_setting_that_a_page_names_exists() -> None:
    named = {
        (name_of(page), name)
        for page in PAGES
        for name in re.findall(r"\bDUYET_[A-Z_]*[A-Z]\b", page.read_text("utf-8"))
    }
    real = {variable(name) for name in Settings.model_fields}

    assert {(page, name) for page, name in named if name not in real} == set()


def test_every_decision_record_is_in_the_index_and_has_its_parts() -> None:
    index = re.findall(r"\((\d{4}-[^)]+\.md)\)", text_of("docs/adr/README.md"))
    lacking = [
        (page.name, part)
        for page in ADRS
        for part in ("Status", "Context", "Decision", "Consequences")
        if f"\n## {part}\n" not in page.read_text("utf-8")
    ]

    assert index == [page.name for page in ADRS]
    assert [int(page.name[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))
    assert lacking == []


# ------------------------------------------------------------------ what is written down exists


def anchors_of(page: Path) -> set[str]:
    """The anchors that a reader of the page can jump to, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_path_that_a_page_names_exists() -> None:
    named = {
        (name_of(page), path)
        for page in PAGES
        for path in re.findall(
            r"`((?:duyet|model|service|training|tests|scripts|docs|benchmarks)/[\w./-]*\w/?)`",
            page.read_text("utf-8"),
        )
    }
    tests = {
        (name_of(page), f"tests/{path}")
        for page in PAGES
        for path in re.findall(r"`((?:\w+/)?test_\w+\.py)`", page.read_text("utf-8"))
        if not path.startswith("tests/")
    }

    assert {found for found in named | tests if not (ROOT / found[1]).exists()} == set()


def lines_in(script: str) -> Iterator[list[str]]:
    """The words of each line; a quotation that runs over several lines is one word."""
    begun = ""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.shlex(begun + line, posix=True, punctuation_chars="|&;<>()")
        words.whitespace_split = True
        try:
            yield list(words)
        except ValueError:
            begun += line + "\n"
        else:
            begun = ""
    assert not begun, "a quotation does not end"


def commands_in(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, without assignments and redirections."""
    for words in lines_in(script):
        command: list[str] = []
        for word in words:
            if set(word) <= set("|&;<>()"):
                yield command
                command = ["<"] if word[0] in "<>" else []
            elif command or not re.match(r"\w+=", word):
                command.append(word)
        yield command


def calls_of(program: str) -> list[tuple[str, list[str]]]:
    return [
        (name_of(page), command[1:])
        for page in PAGES
        for script in fenced(page.read_text("utf-8"), "(?:sh|console|shell|bash)")
        for command in commands_in(script)
        if command and Path(command[0]).name == program
    ]


def unknown_in(arguments: list[str]) -> str:
    """What of a call of `duyet` does not exist: a command or an option. Empty if all does."""
    if not arguments or arguments[0] in {"--help", "-h", "--version"}:
        return ""
    if arguments[0] not in COMMANDS:
        return arguments[0]
    command = COMMANDS[arguments[0]].load()
    rest = arguments[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return rest[0]
        command, rest = found, rest[1:]
    options = {name for param in command.params for name in param.opts + param.secondary_opts}
    used = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return " ".join(name for name in used if name not in options | {"--help", "-h"})


def test_the_pages_show_calls_at_all() -> None:
    assert len(calls_of("duyet")) > 5
    assert len(calls_of("make")) > 2


def test_every_call_of_duyet_in_the_pages_has_a_command_and_options_that_exist() -> None:
    wrong = [(page, unknown_in(arguments)) for page, arguments in calls_of("duyet")]

    assert [found for found in wrong if found[1]] == []


def test_every_command_is_shown_in_the_pages() -> None:
    shown = {arguments[0] for _, arguments in calls_of("duyet") if arguments}

    assert COMMANDS.keys() - shown == set()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_every_make_target_in_the_pages_exists() -> None:
    prose = {
        (name_of(page), target)
        for page in PAGES
        for target in re.findall(r"`make ([a-z-]+)", page.read_text("utf-8"))
    }
    called = {(page, word) for page, words in calls_of("make") for word in words if "=" not in word}

    assert {found for found in prose | called if found[1] not in make_targets()} == set()


def test_make_help_lists_every_target_that_is_called() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    assert {"install", "serve", "test", "lint", "types", "help"} <= explained
    assert phony
    assert explained <= set(phony[1].split())


# ------------------------------------------------------------------ the repository speaks of itself


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode:
        pytest.skip("this is no git checkout; the test reads what git tracks")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def lines_with(pattern: str, fine: Callable[[str], bool] = lambda _: False) -> list[str]:
    """Where tracked text holds what it should not, as file:line, never what it holds."""
    wanted = re.compile(pattern, re.IGNORECASE)
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if any(not fine(match.group()) for match in wanted.finditer(line)):
                found.append(f"{name_of(path)}:{number}")
    return found


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    homes = "|".join(("home", "root", "Users", "work", "mnt"))  # apart, or this line would match

    assert lines_with(rf"(?<![\w.:/~\])}}-])/(?:{homes})/[a-z_]") == []


def test_no_file_names_a_package_registry() -> None:
    hosts = "|".join(("py" + r"pi\.org", "python" + "hosted", "npm" + "js", "index" + "-url http"))

    assert lines_with(hosts) == []


FREEMAIL = r"gmail|googlemail|yahoo|hotmail|outlook|icloud|proton(?:mail)?|gmx|yandex|qq|163"


def is_invented(address: str) -> bool:
    """Whether an address is plainly a sample: a first name or so, or a canary."""
    local = address.partition("@")[0]
    return "canary" in local or bool(re.fullmatch(r"[a-z.+]{1,10}", local, re.IGNORECASE))


def test_no_file_has_what_could_be_somebody_s_address() -> None:
    found = lines_with(rf"[a-z0-9._+-]+@(?:{FREEMAIL})(?:\.[a-z]{{2,3}})+", fine=is_invented)

    assert found == []


# ------------------------------------------------------------------ the API by example


def routes_of(router: Any) -> Iterator[str]:
    """Method and path of each route; FastAPI keeps included routers whole, none with a prefix."""
    for route in router.routes:
        if isinstance(route, Route):
            yield from (
                f"{method} {route.path}" for method in route.methods or () if method != "HEAD"
            )
        else:
            yield from routes_of(route.original_router)


def test_every_route_is_documented_and_every_documented_route_exists(tmp_path: Path) -> None:
    pages = text_of(
        "docs/api.md",
        "docs/moderating.md",
        "docs/akismet.md",
        "docs/perspective.md",
        "docs/coral.md",
        "docs/status-pages.md",
        "docs/digest.md",
    )
    with service(tmp_path) as (app, _):
        real = set(routes_of(app))

    written = set(re.findall(r"`((?:GET|POST|DELETE|PUT|PATCH) /[^`\s]*)`", pages))

    assert len(real) > 15
    assert written == real


def fields_of(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = [kind for kind in get_args(field.annotation) if isinstance(kind, type)]
        inner = [kind for kind in kinds if issubclass(kind, BaseModel)]
        yield from fields_of(inner[0], f"{before}{name}.") if inner else [before + name]


def test_every_field_of_a_comment_has_its_row_and_every_row_its_field() -> None:
    table = text_of("docs/api.md").partition("| field | |")[2].partition("\n## ")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]

    assert sorted(re.findall(r"`([\w.]+)`", " ".join(first))) == sorted(fields_of(CommentIn))


def test_the_examples_of_the_api_page_are_answered_as_it_says() -> None:
    asked = 0
    wrong: list[str] = []

    for request, written, real in answers():
        asked += 1
        about = " ".join(request.first[:2])
        wrong += [f"{about}: {' '.join(real.first)}"] * (written.first != real.first)
        wrong += [f"{about}: {real.headers}"] * (written.headers != real.headers)
        wrong += [f"{about}: {found}" for found in differences(written.value, real.value)]

    assert asked > 15
    assert wrong == []
