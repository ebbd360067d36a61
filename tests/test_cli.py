import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from duyet.cli import COMMANDS, SECTIONS, run
from model.features import FEATURES_VERSION, Spec, Texts
from model.outcome import HeadThresholds, Thresholds
from model.registry import CHAMPION, Manifest, Registry
from tests.judging_cases import a_promise, blocks_of

ROOT = Path(__file__).parent.parent
HEAVY = ("sklearn", "scipy", "matplotlib", "joblib", "pandas")
ADDRESS = "canary-7731@gmail.com"

BEHAVED = f'''
import click, os, signal

@click.command()
def waits():
    click.echo("ready")
    signal.pause()

@click.command()
def fails():
    try:
        raise KeyError("{ADDRESS}")
    except KeyError as error:
        raise ValueError("{ADDRESS}") from error

@click.command()
def talks():
    for number in range(1_000_000):
        click.echo(number)

@click.command()
def whispers():
    click.echo("one line, still in the buffer when the reader has gone")

@click.command()
def misses():
    open("absent.jsonl")

@click.command()
def refuses():
    raise click.ClickException("two\\nlines of\\n  text")
'''


@dataclass(frozen=True)
class Answer:
    """How a call ended, and what it said."""

    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def duyet(monkeypatch, capsysbinary) -> Callable[..., Answer]:
    """Calls the command line in this process: a start of its own takes most of a second."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: str, given: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        status = run(arguments)
        return Answer(status, *capsysbinary.readouterr())

    return call


def started(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A call in a process of its own, as from a shell."""
    command = [sys.executable, "-m", "duyet", *arguments]
    return subprocess.run(command, capture_output=True, cwd=ROOT, check=False)


@pytest.fixture
def behaved(tmp_path):
    """Starts the command line with one command more, which behaves in a known way."""
    (tmp_path / "behaved.py").write_text(BEHAVED)
    started = []

    def start(name: str, **streams: Any) -> subprocess.Popen[Any]:
        program = (
            "from duyet import cli\n"
            f"cli.COMMANDS['it'] = cli.LazyCommand('behaved:{name}', '')\n"
            "cli.main(['it'])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_help_names_every_command_with_examples():
    answer = started("--help")

    assert answer.returncode == 0
    assert [name for name in COMMANDS if f"\n  {name} ".encode() not in answer.stdout] == []
    assert b"Examples:" in answer.stdout


def test_the_sections_hold_each_command_once():
    assert sum(map(len, SECTIONS.values())) == len(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name):
    command = COMMANDS[name].load()

    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(duyet, name):
    answer = duyet(name, "--help")

    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.startswith(f"Usage: duyet {name}".encode())


FITTING = ("train", "evaluate", "labels")
"""Commands that load what fits, which takes a second."""


LIGHT = """
import sys
from duyet.cli import run

for arguments in ([], *([name] for name in sys.argv[1].split())):
    status = run([*arguments, "--help"])
    loaded = [m for m in sys.argv[2].split() if m in sys.modules]
    if status or loaded:
        print(arguments, status, loaded, file=sys.stderr)
"""


def test_light_commands_import_nothing_heavy():
    light = [name for name in COMMANDS if name not in FITTING]

    answer = subprocess.run(
        [sys.executable, "-c", LIGHT, " ".join(light), " ".join(HEAVY)],
        capture_output=True,
        cwd=ROOT,
        check=True,
    )

    assert answer.stderr.decode() == ""
    assert answer.stdout.count(b"Usage: duyet ") == len(light) + 1


def test_version_is_one_line(duyet):
    answer = duyet("--version")

    assert answer.stdout.startswith(b"duyet ")
    assert answer.stdout.count(b"\n") == 1


def test_no_command_at_all_shows_the_help_and_fails():
    answer = started()

    assert answer.returncode == 2
    assert b"Usage: duyet" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluat"], b"Did you mean 'evaluate'?"),
        (["--colour"], b"No such option"),
        (["evaluate"], b"Missing argument"),
        (["evaluate", "absent.jsonl"], b"does not exist"),
        (["evaluate", "tests"], b"is a directory"),
        (["evaluate", "README.md", "--task", "rude"], b"'rude' is not one of"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(duyet, arguments, says):
    answer = duyet(*arguments)

    assert answer.returncode == 2
    assert says in answer.stderr
    assert answer.stderr.count(b"\n") == 1
    assert answer.stdout == b""


def test_a_failure_is_one_line_and_status_1(behaved):
    process = behaved("refuses")

    _, complaint = process.communicate()

    assert (process.returncode, complaint) == (1, b"duyet: two lines of text\n")


def test_a_file_that_cannot_be_opened_is_one_line(behaved):
    process = behaved("misses")

    _, complaint = process.communicate()

    assert (process.returncode, complaint) == (
        1,
        b"duyet: No such file or directory: absent.jsonl\n",
    )


def test_ctrl_c_ends_quietly(behaved):
    process = behaved("waits")
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate()

    assert (process.returncode, complaint.strip()) == (130, b"")


def test_a_reader_that_has_had_enough_ends_it_quietly(behaved):
    process = behaved("talks")
    process.stdout.readline()

    process.stdout.close()

    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_a_reader_that_has_gone_before_the_last_line_ends_it_quietly(behaved):
    reading, writing = os.pipe()
    os.close(reading)

    process = behaved("whispers", stdout=writing)
    os.close(writing)

    assert process.stderr.read() == b""
    assert process.wait() == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_one_line(behaved):
    with open("/dev/full", "wb") as full:
        process = behaved("whispers", stdout=full)

    assert process.stderr.read() == b"duyet: No space left on device\n"
    assert process.wait() == 1


def test_a_fault_shows_where_and_never_what_was_read(behaved):
    process = behaved("fails")

    _, complaint = process.communicate()

    assert process.returncode == 1
    assert complaint.count(b"behaved.py") == 2
    assert complaint.index(b"ValueError") < complaint.index(b"KeyError")
    assert ADDRESS.encode() not in complaint.replace(f'"{ADDRESS}"'.encode(), b"")


SPAM = "casino bonus casino bonus win money now"


@pytest.fixture
def models(tmp_path):
    """A registry whose champion knows one kind of spam, by weights set by hand."""
    spec = Spec(bits=12)
    table = np.zeros((1 << spec.bits, 2), np.float32)
    for block in blocks_of(Texts(SPAM), spec):
        table[block.distinct, 0] = 1.0
    registry = Registry(tmp_path / "models")
    thresholds = Thresholds(queue_at=0.5, reject_at=0.9)
    manifest = Manifest(
        version="",
        features_version=FEATURES_VERSION,
        spec=spec,
        bias=(-5.0, -5.0),
        promise=a_promise(HeadThresholds(spam=thresholds, toxicity=thresholds)),
        digests={},
    )
    version = registry.add(manifest, table)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    registry.move(CHAMPION, version, who="tests", why="the first", at=at)
    return registry.root


ROWS = [
    {"id": "1", "text": SPAM, "label": "spam", "source": "blog", "lang": "en", "group": "p1"},
    {"id": "2", "text": "Cảm ơn bài viết", "label": "ham", "source": "blog", "lang": "vi"},
    {"id": "3", "text": "Thanks, this helped me a lot", "label": "ham", "source": "video"},
    {"id": "4", "text": f"write to {ADDRESS}", "label": "clean", "email": ADDRESS},
    {"id": "5", "text": "no label"},
]


def jsonl(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "labelled.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(*ROWS)))
    return path


def test_evaluate_judges_each_task_on_its_own_rows(duyet, models, labelled):
    answer = duyet("evaluate", str(labelled), "--models", str(models), "--json")

    tasks = json.loads(answer.stdout)["tasks"]
    spam = tasks["spam"]["all"]
    assert (spam["rows"], spam["positives"], spam["metrics"]["roc_auc"]["value"]) == (3, 1, 1.0)
    assert spam["outcomes"]["spam"]["accept"] == 0
    assert spam["outcomes"]["ham"]["accept"] == 2
    assert (tasks["toxicity"]["all"]["rows"], tasks["toxicity"]["sources"].keys()) == (
        1,
        {"unnamed"},
    )
    assert tasks["spam"]["languages"].keys() == {"en", "vi", "und"}
    assert answer.stderr == b"left out: 1 rows without a label\n"


def test_evaluate_shows_a_table_that_fits_a_terminal(duyet, models, labelled):
    answer = duyet("evaluate", str(labelled), "--models", str(models), "--task", "spam")

    lines = answer.stdout.decode().splitlines()
    assert lines[0] == "SPAM   3 rows: 1 spam, 2 ham"
    assert max(map(len, lines)) <= 100
    assert "TOXICITY" not in answer.stdout.decode()


def test_evaluate_reads_standard_input_and_several_files(duyet, models, labelled):
    answer = duyet(
        "evaluate", "-", str(labelled), "--models", str(models), "--json", given=jsonl(ROWS[0])
    )

    assert json.loads(answer.stdout)["tasks"]["spam"]["all"]["rows"] == 4


def test_evaluate_writes_a_report_without_a_word_of_the_comments(duyet, models, labelled, tmp_path):
    answer = duyet(
        "evaluate", str(labelled), "--models", str(models), "--report", str(tmp_path / "out")
    )

    assert answer.returncode == 0
    page = (tmp_path / "out" / "index.html").read_text()
    figures = (tmp_path / "out" / "report.json").read_text()
    assert json.loads(figures)["tasks"].keys() == {"spam", "toxicity"}
    said = answer.stdout.decode() + answer.stderr.decode() + page + figures
    assert [word for word in ("canary", "casino", "Thanks", "Cảm") if word in said] == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"text": "canary", "label": "rude"}', b"line 1: label must be one of"),
        (b'{"text": "canary', b"line 1: the line is not JSON"),
        (b'{"text": "canary"}', b"there are no labelled rows"),
        (b"", b"there are no labelled rows"),
    ],
)
def test_evaluate_says_what_is_wrong_with_a_file_and_never_repeats_it(duyet, models, data, says):
    answer = duyet("evaluate", "-", "--models", str(models), given=data)

    assert answer.returncode == 1
    assert says in answer.stderr
    assert b"canary" not in answer.stderr
    assert b"Traceback" not in answer.stderr


def test_evaluate_can_leave_out_rows_that_cannot_be_read(duyet, models):
    data = jsonl(ROWS[0]) + b"{\n" + jsonl(ROWS[1])

    answer = duyet("evaluate", "-", "--skip-bad", "--json", "--models", str(models), given=data)

    assert json.loads(answer.stdout)["tasks"]["spam"]["all"]["rows"] == 2
    assert answer.stderr == b"left out: 1 rows that cannot be read\n"


def test_evaluate_names_the_models_there_are(duyet, models, labelled):
    answer = duyet("evaluate", str(labelled), "--models", str(models), "--model", "absent")

    assert answer.returncode == 1
    assert b"champion" in answer.stderr
    assert answer.stderr.count(b"\n") == 1
