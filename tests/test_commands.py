import gzip
import json
import os
import re
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from duyet.cli import run
from model.decision import Decision, RejectReason
from model.outcome import Outcome
from model.policy import Policy
from service.keyring import Keyring
from service.settings import load_settings
from service.storage import Store
from tests.migrated import lay_database
from tests.storage.cases import Clock, asked, put, submission, verdict
from training.examples import read_examples

ROOT = Path(__file__).parent.parent
ADDRESS = "canary-5518@gmail.com"
ESCAPE = "\x1b[2J"


class Desk:
    """One installation, and the command line over it."""

    def __init__(self, directory: Path, monkeypatch, capsysbinary) -> None:
        for name in [name for name in os.environ if name.startswith("DUYET_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DUYET_DATA_DIR", str(directory))
        self.settings = load_settings({"DUYET_DATA_DIR": str(directory)})
        self.set = monkeypatch.setenv
        self._read = capsysbinary.readouterr
        self._opened: list[Store] = []

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Status, standard output, standard error."""
        status = run(list(arguments))
        captured = self._read()
        return status, captured.out.decode(), captured.err.decode()

    def json(self, *arguments: str):
        status, answer, said = self(*arguments, "--json")
        assert status == 0, said
        return json.loads(answer)

    @property
    def store(self) -> Store:
        if not self._opened:
            keyring = Keyring(self.settings.secrets_dir)
            self._opened.append(Store.open(self.settings.sqlalchemy_url, keyring))
        return self._opened[0]

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture
def empty(tmp_path, monkeypatch, capsysbinary):
    desk = Desk(tmp_path / "var", monkeypatch, capsysbinary)
    yield desk
    desk.close()


@pytest.fixture
def desk(empty, tmp_path):
    """An installation with the site `blog`."""
    lay_database(tmp_path / "var")
    assert empty("migrate")[0] == 0
    assert empty("sites", "add", "blog")[0] == 0
    return empty


def waits(desk: Desk, content: str = "Hay quá", *, spam: float = 0.6, email: str = ADDRESS) -> str:
    """The id of a comment that waits."""
    [site] = desk.store.sites()
    clock = Clock()
    clock.at = datetime.now(UTC)
    sent = submission(content, email=email)
    return put(desk.store, asked(site, clock(), sent), by=verdict(spam=spam))[0]


# ------------------------------------------------------------------ opening


@pytest.mark.parametrize(
    "call",
    [
        ["sites", "list"],
        ["queue", "list"],
        ["keys", "rotate"],
        ["export", "labels"],
        ["sign-in"],
    ],
    ids=" ".join,
)
def test_without_an_installation_a_command_says_how_to_make_one(empty, call):
    status, out, said = empty(*call)

    assert (status, out) == (1, "")
    assert "`duyet serve` or `duyet migrate` makes one" in said
    assert not empty.settings.data_dir.exists()


def test_every_wrong_setting_is_told_on_its_own_line(empty):
    empty.set("DUYET_PORT", "many")
    empty.set("DUYET_WORKERS", "0")
    empty.set("DUYET_PROT", "1")

    status, _, said = empty("serve")

    assert status == 2
    assert said.splitlines() == [
        "duyet: DUYET_PROT is no setting; did you mean DUYET_PORT?",
        "duyet: DUYET_PORT is 'many'; it must be a whole number from 0 to 65535",
        "duyet: DUYET_WORKERS is '0'; it must be a whole number from 1 to 64",
    ]


def test_a_database_of_an_earlier_schema_is_not_touched(desk):
    desk.settings.data_dir.joinpath("duyet.db").unlink()

    status, _, said = desk("sites", "list")

    assert status == 1
    assert "run `duyet migrate`" in said


def test_keys_that_do_not_belong_to_the_database_are_refused(desk):
    for key in desk.settings.secrets_dir.iterdir():
        key.unlink()
    Keyring.open(desk.settings.secrets_dir)

    status, _, said = desk("sites", "add", "another")

    assert status == 1
    assert re.search(r"(match|token)\.key is not the one this database was written with", said)


def test_a_database_that_is_away_is_one_line(desk):
    desk.set("DUYET_DATABASE_URL", "postgresql://duyet:hunter2@127.0.0.1:1/duyet")

    status, _, said = desk("sites", "list")

    assert (status, said.count("\n")) == (1, 1)
    assert "the database is away" in said
    assert "hunter2" not in said


def test_migrating_twice_is_no_error_and_makes_no_site(empty):
    empty("migrate")

    assert empty("migrate")[0] == 0
    assert empty.json("sites", "list") == []


# ------------------------------------------------------------------ sites


def test_a_new_site_prints_its_key_alone(empty):
    empty("migrate")

    status, out, said = empty("sites", "add", "blog")

    assert (status, out.count("\n")) == (0, 1)
    assert empty.store.site_of_key(out.strip()).name == "blog"
    assert "shown this once" in said


def test_a_name_is_taken_once(desk):
    status, out, said = desk("sites", "add", "blog")

    assert (status, out) == (1, "")
    assert "already" in said


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, ADDRESS, f"blog of {ADDRESS}"])
def test_a_name_that_cannot_be_shown_is_refused_unrepeated(desk, name):
    status, _, said = desk("sites", "add", name)

    assert status == 2
    assert "canary" not in said
    assert len(desk.store.sites()) == 1


def test_listed_keys_show_only_how_they_begin(desk):
    key = desk.json("sites", "rotate-key", "blog")["api_key"]

    [listed] = desk.json("sites", "list")

    assert [len(k["prefix"]) for k in listed["keys"]] == [7]
    assert key.startswith(listed["keys"][0]["prefix"])
    assert key not in desk("sites", "list")[1]


def test_a_rotated_key_ends_the_old_one_at_once(empty):
    empty("migrate")
    old = empty.json("sites", "add", "blog")["api_key"]

    new = empty.json("sites", "rotate-key", "blog")["api_key"]

    assert empty.store.site_of_key(old) is None
    assert empty.store.site_of_key(new) is not None


def test_an_old_key_may_be_kept_for_a_while(empty):
    empty("migrate")
    old = empty.json("sites", "add", "blog")["api_key"]

    empty.json("sites", "rotate-key", "blog", "--keep-old-for", "24h")

    assert empty.store.site_of_key(old) is not None
    ends = empty.json("sites", "list")[0]["keys"][1]["ends_at"]
    assert datetime.fromisoformat(ends) > datetime.now(UTC) + timedelta(hours=23)


@pytest.mark.parametrize("length", ["24", "-1h", "1w", "999d", "h", "１h"])
def test_a_length_of_time_needs_its_unit(desk, length):
    assert desk("sites", "rotate-key", "blog", "--keep-old-for", length)[0] == 2


def test_an_unknown_site_is_told_which_there_are(desk):
    status, _, said = desk("sites", "rotate-key", "blgo")

    assert status == 1
    assert "there are: blog" in said


def test_what_a_site_taught_can_be_forgotten(desk):
    status, out, _ = desk("sites", "forget", "blog")
    again = json.loads(desk("sites", "forget", "blog", "--json")[1])

    [site] = desk.store.sites()
    assert (status, out) == (0, "forgot what was learnt of blog\n")
    assert again == {"id": site.id, "name": "blog", "change": 2}
    assert desk.store.changes(site.id).reset == 2


def test_an_unknown_site_is_not_forgotten(desk):
    status, _, said = desk("sites", "forget", "blgo")

    assert status == 1
    assert "there are: blog" in said


# ------------------------------------------------------------------ policies


def test_a_policy_can_be_shown_changed_and_set_again(desk, tmp_path):
    shown = json.loads(desk("sites", "policy", "blog")[1])
    (tmp_path / "policy.json").write_text(json.dumps(shown | {"audit_rate": 0.5}))

    status, out, _ = desk("sites", "policy", "blog", str(tmp_path / "policy.json"))

    assert (status, json.loads(out)) == (0, shown | {"audit_rate": 0.5})
    [site] = desk.store.sites()
    assert site.policy == Policy(audit_rate=0.5)
    assert desk.store.policy(site.id, Policy().version) == Policy()


@pytest.mark.parametrize(
    ("risks", "problem"),
    [
        ({"reject_risk": 0.02}, "reject_risk must be at most queue_risk"),
        ({"queue_risk": 0.2}, "queue_risk must be 0, or from 0.0005 to 0.05"),
        ({"reject_risk": True}, "reject_risk must be a number"),
        ({"reject_risk": "0.001"}, "reject_risk must be a number"),
    ],
)
def test_a_risk_that_cannot_be_stated_is_refused(desk, tmp_path, risks, problem):
    (tmp_path / "policy.json").write_text(json.dumps(risks))

    status, _, said = desk("sites", "policy", "blog", str(tmp_path / "policy.json"))

    assert status == 1
    assert problem in said
    assert desk.store.sites()[0].policy == Policy()


def test_a_site_is_given_a_rate_limit_of_its_own_and_loses_it_again(desk):
    desk.set("DUYET_RATE_LIMIT", "5")

    said = [desk("sites", "limit", "blog", *rate)[1].strip() for rate in ([], ["12.5"], ["0"])]
    own = desk.store.sites()[0].rate_limit
    usual = desk.json("sites", "limit", "blog", "usual")

    assert said == [
        "5 comments a second, as DUYET_RATE_LIMIT says",
        "12.5 comments a second",
        "no limit",
    ]
    assert own == 0
    assert (usual["own"], usual["in_force"]) == (None, 5)


@pytest.mark.parametrize("rate", ["many", "-- -1", "0.0001", "nan", "inf", "1e12", "5 a second"])
def test_a_rate_that_is_none_is_refused(desk, rate):
    status, _, said = desk("sites", "limit", "blog", *rate.split(maxsplit=1))

    assert status == 2
    assert desk.store.sites()[0].rate_limit is None
    assert said


def test_a_sites_risks_are_put_in_force_and_shown(desk, tmp_path):
    (tmp_path / "policy.json").write_text('{"reject_risk": 0, "queue_risk": 0.05}')

    shown = json.loads(desk("sites", "policy", "blog", str(tmp_path / "policy.json"))[1])

    assert (shown["reject_risk"], shown["queue_risk"]) == (0, 0.05)
    assert desk.store.sites()[0].policy == Policy(reject_risk=0, queue_risk=0.05)


def test_what_a_policy_leaves_out_stays_as_it_is(desk, tmp_path):
    file = tmp_path / "policy.json"
    file.write_text('{"form": {"require_email": false}, "effects": {"text.twin": "reject"}}')
    desk("sites", "policy", "blog", str(file))
    file.write_text('{"form": {"require_url": true}, "flood_seconds": 30}')

    desk("sites", "policy", "blog", str(file))

    policy = desk.store.sites()[0].policy
    assert (policy.form.require_email, policy.form.require_url) == (False, True)
    assert (policy.effects, policy.flood_seconds) == ({"text.twin": Outcome.REJECT}, 30)


def test_all_problems_of_a_policy_are_named_and_nothing_changes(desk, tmp_path):
    wrong = {
        "audit_rat": 1,
        "max_links": 2.5,
        "fail_open": "canary",
        "form": {"max_name_bytes": 0, "require_email": None},
        "effects": {"links.tomany": "queue", "text.twin": "canary"},
        "thresholds": {"spam": {"queue_at": 0.9, "reject_at": 0.5}, "toxicity": 1},
    }
    (tmp_path / "policy.json").write_text(json.dumps(wrong))

    status, out, said = desk("sites", "policy", "blog", str(tmp_path / "policy.json"))

    assert (status, out) == (1, "")
    assert [line.split()[1] for line in said.splitlines()] == [
        "audit_rat",
        "max_links",
        "fail_open",
        "form.max_name_bytes",
        "form.require_email",
        "effects",
        "effects.text.twin",
        "thresholds.spam",
        "thresholds.toxicity",
    ]
    assert "did you mean audit_rate?" in said
    (tmp_path / "policy.json").write_text('{"toxicity_lead": 1, "thresholds": {}}')
    _, _, said = desk("sites", "policy", "blog", str(tmp_path / "policy.json"))
    assert "toxicity_lead is not known; there are: form, reject_risk," in said
    assert "with spam and toxicity, each with queue_at and reject_at" in said
    assert "canary" not in said
    assert desk.store.sites()[0].policy == Policy()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"audit_rate": NaN}',
        b'{"audit_rate": 2}',
        b'{"flood_seconds": 1e999}',
        b'{"max_links": true}',
        b'{"form": []}',
        b'{"thresholds": {}}',
        b'{"effects": []}',
        b"\xff",
        b"[" * 100_000,
        b'{"max_links": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda text: text[:24].decode("latin-1"),
)
def test_what_is_no_policy_is_refused(desk, tmp_path, text):
    (tmp_path / "policy.json").write_bytes(text)

    status, _, said = desk("sites", "policy", "blog", str(tmp_path / "policy.json"))

    assert (status, said.count("\n")) == (1, 1)
    assert desk.store.sites()[0].policy == Policy()


# ------------------------------------------------------------------ queue


def test_an_empty_queue_says_so(desk):
    assert desk("queue", "list")[1] == "Nothing waits.\n"
    assert desk.json("queue", "list") == {"waiting": 0, "items": []}


def test_the_queue_lists_what_waits_with_addresses_masked(desk):
    comment_id = waits(desk, f"Write to {ADDRESS}{ESCAPE}\nnow")

    table, body = desk("queue", "list")[1], desk.json("queue", "list")

    [item] = body["items"]
    assert (item["id"], item["site"], body["waiting"]) == (comment_id, "blog", 1)
    assert item["author"]["email"] == "c•••@gmail.com"
    assert "canary" not in table + json.dumps(body)
    assert "\x1b" not in table
    assert table.count("\n") == 2


def test_the_riskiest_can_come_first(desk):
    low, high = waits(desk, "one", spam=0.2), waits(desk, "two", spam=0.9)

    listed = desk.json("queue", "list", "--order", "riskiest", "--limit", "1")

    assert [item["id"] for item in listed["items"]] == [high]
    assert [item["id"] for item in desk.json("queue", "list")["items"]] == [low, high]


def test_the_queue_of_one_site_leaves_out_the_others(desk):
    waits(desk)
    desk("sites", "add", "other")

    assert desk.json("queue", "list", "--site", "other")["items"] == []
    assert desk("queue", "list", "--site", "none")[0] == 1


def test_a_decision_stands_and_empties_the_queue(desk):
    comment_id = waits(desk)

    decided = desk.json("queue", "decide", comment_id, "reject", "--reason", "spam")

    stored = desk.store.comment(None, comment_id)
    assert decided["moderator"] == stored.decision.moderator == "operator"
    assert (stored.state, stored.decision.reason) == (Outcome.REJECT, RejectReason.SPAM)
    assert desk.json("queue", "list")["waiting"] == 0


def test_a_second_decision_is_told_the_first(desk):
    comment_id = waits(desk)
    first = Decision(Outcome.ACCEPT, None, "lan", datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    desk.store.decide(None, comment_id, first)

    status, _, said = desk("queue", "decide", comment_id, "reject", "--reason", "toxic")

    assert status == 1
    assert said == "duyet: lan decided first, 2026-03-01 12:30 UTC: accept\n"


@pytest.mark.parametrize(
    "call", [["reject"], ["accept", "--reason", "spam"], ["queue"], ["reject", "--reason", "rude"]]
)
def test_a_decision_that_says_too_little_or_too_much_is_a_wrong_call(desk, call):
    comment_id = waits(desk)

    assert desk("queue", "decide", comment_id, *call)[0] == 2
    assert desk.json("queue", "list")["waiting"] == 1


@pytest.mark.parametrize("comment_id", ["absent", "", "\udcff", "x" * 5000])
def test_a_decision_on_nothing_is_refused(desk, comment_id):
    status, _, said = desk("queue", "decide", comment_id, "accept")

    assert status == 1
    assert "no comment of that id" in said


def test_only_a_moderator_there_is_can_be_named(desk):
    comment_id = waits(desk)
    desk("sign-in", "--name", "lan", "--add", "moderator")

    assert desk("queue", "decide", comment_id, "accept", "--moderator", "nal")[0] == 1
    assert desk("queue", "decide", comment_id, "accept", "--moderator", "lan")[0] == 0


# ------------------------------------------------------------------ sign-in


def test_a_sign_in_link_is_the_admins_and_works_once(desk):
    link = desk("sign-in")[1].strip()

    token = link.partition("http://127.0.0.1:8000/sign-in?token=")[2]
    session = desk.store.use_sign_in_link(token)
    assert desk.store.session(session).name == "admin"
    assert desk.store.use_sign_in_link(token) is None


def test_a_new_moderator_gets_a_first_link(desk):
    made = desk.json("sign-in", "--name", "lan", "--add", "moderator")

    assert (made["moderator"], made["role"], made["valid_seconds"]) == ("lan", "moderator", 86_400)
    assert desk("sign-in", "--name", "lan")[0] == 0
    assert desk("sign-in", "--name", "lan", "--add", "admin")[0] == 1


def test_an_unknown_moderator_is_told_who_there_is(desk):
    desk("sign-in")

    status, _, said = desk("sign-in", "--name", "nobody")

    assert status == 1
    assert "there are: admin" in said


# ------------------------------------------------------------------ keys


def test_after_a_rotation_every_address_opens_with_the_new_key_alone(desk):
    comment_id = waits(desk)

    body = desk.json("keys", "rotate")

    assert body == {"key": "address-2.key", "sealed_again": 1, "unused": ["address-1.key"]}
    (desk.settings.secrets_dir / "address-1.key").unlink()
    shown = Store.open(desk.settings.sqlalchemy_url, Keyring(desk.settings.secrets_dir))
    assert shown.reveal_address(None, comment_id, moderator="ann", why="test") == ADDRESS
    shown.close()


def test_no_key_is_called_unused_while_comments_are_spooled(desk):
    waits(desk)
    desk.settings.spool_dir.mkdir(parents=True)
    spooled = desk.settings.spool_dir / "1-a.spool"
    spooled.touch()

    held = desk.json("keys", "rotate")["unused"]
    spooled.unlink()
    after = desk.json("keys", "rotate", "--finish")["unused"]

    assert (held, after) == ([], ["address-1.key"])


def test_a_rotation_can_be_finished_without_another_key(desk):
    waits(desk)
    Keyring(desk.settings.secrets_dir).add_address_key()

    body = desk.json("keys", "rotate", "--finish")

    assert (body["key"], body["sealed_again"]) == ("address-2.key", 1)


def test_a_rotation_whose_old_key_is_gone_is_one_line(desk):
    waits(desk)
    Keyring(desk.settings.secrets_dir).add_address_key()
    (desk.settings.secrets_dir / "address-1.key").unlink()

    status, _, said = desk("keys", "rotate", "--finish")

    assert (status, said) == (
        1,
        "duyet: address-1.key is missing; restore it from a backup\n",
    )


# ------------------------------------------------------------------ export


def decided(desk: Desk) -> None:
    first, second = waits(desk, f"mail {ADDRESS} \u2028 ok"), waits(desk, "mua ngay")
    desk("queue", "decide", first, "accept")
    desk("queue", "decide", second, "reject", "--reason", "spam")


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.jsonl.gz"])
def test_exported_labels_are_what_training_reads(desk, tmp_path, name):
    decided(desk)

    status, out, said = desk("export", "labels", "-o", str(tmp_path / name))

    found = list(read_examples(tmp_path / name))
    assert (status, out, said) == (0, "", "3 labelled examples\n")
    assert [e.label.word for e in found] == ["ham", "clean", "spam"]
    assert {e.source for e in found} == {"duyet:blog"}
    assert found == list(desk.store.labelled())


def test_an_export_holds_no_address(desk, tmp_path):
    decided(desk)

    desk("export", "labels", "-o", str(tmp_path / "labels.jsonl"))

    assert b"canary" not in (tmp_path / "labels.jsonl").read_bytes()


def test_an_export_is_for_its_owner_and_the_same_bytes_each_time(desk, tmp_path):
    decided(desk)
    one, two = tmp_path / "one.gz", tmp_path / "two.gz"

    desk("export", "labels", "-o", str(one))
    desk("export", "labels", "-o", str(two))

    assert one.read_bytes() == two.read_bytes()
    assert stat.S_IMODE(one.stat().st_mode) == 0o600


def test_an_export_goes_to_standard_output_without_a_file(desk):
    decided(desk)

    _, out, _ = desk("export", "labels")

    assert [json.loads(line)["label"] for line in out.split("\n")[:-1]] == ["ham", "clean", "spam"]


def test_an_export_that_fails_leaves_what_was_there(desk, tmp_path):
    (tmp_path / "labels.jsonl").write_text("before")

    status, _, _ = desk("export", "labels", "--site", "none", "-o", str(tmp_path / "labels.jsonl"))

    assert status == 1
    assert (tmp_path / "labels.jsonl").read_text() == "before"
    assert {p.name for p in tmp_path.iterdir()} == {"labels.jsonl", "var"}


def test_an_export_into_no_directory_is_told(desk, tmp_path):
    status, _, said = desk("export", "labels", "-o", str(tmp_path / "absent" / "labels.jsonl"))

    assert (status, said) == (1, f"duyet: there is no directory {tmp_path / 'absent'}\n")


def test_an_export_to_a_pipe_leaves_it_a_pipe(desk, tmp_path):
    decided(desk)
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)

    desk("export", "labels", "-o", str(tmp_path / "pipe"))

    assert reader.communicate()[0].count(b"\n") == 3
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_packed_export_says_nothing_of_where_it_was_made(desk, tmp_path):
    desk("export", "labels", "-o", str(tmp_path / "labels.jsonl.gz"))

    packed = (tmp_path / "labels.jsonl.gz").read_bytes()
    assert gzip.decompress(packed) == b""
    assert b"labels" not in packed


# ------------------------------------------------------------------ serve


@pytest.fixture
def serving(tmp_path):
    """Starts `duyet serve` on a port of the system's choice."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**more: str) -> subprocess.Popen[bytes]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DUYET_")}
        environ |= {"DUYET_DATA_DIR": str(tmp_path / "var"), "DUYET_PORT": "0"} | more
        process = subprocess.Popen(
            [sys.executable, "-m", "duyet", "serve"],
            env=environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def told_by(process: subprocess.Popen[bytes]) -> str:
    """What it prints, up to where the queue is told."""
    said = ""
    assert process.stdout
    assert process.stderr
    while "`duyet sign-in` makes" not in said:
        line = process.stdout.readline().decode()
        assert line, process.stderr.read().decode()
        said += line
    return said


def answered(request: urllib.request.Request | str) -> dict[str, object]:
    """The JSON that a service answers, which may be about to listen."""
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read())
        except (ConnectionError, urllib.error.URLError):
            assert time.monotonic() < until
            select.select([], [], [], 0.05)


def first_comment(said: str) -> urllib.request.Request:
    """The request of the command that the first start told."""
    found = re.search(r"^  curl (?:.*\\\n)+.*$", said, re.MULTILINE)
    assert found
    command = shlex.split(found[0])
    headers = [command[at + 1] for at, word in enumerate(command) if word == "-H"]
    url = next(word for word in command if word.startswith("http"))
    body = command[command.index("-d") + 1].encode()
    return urllib.request.Request(url, body, dict(h.split(": ") for h in headers))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_first_comment_is_answered_and_its_key_never_logged(serving, workers):
    process = serving(DUYET_WORKERS=workers)

    given = answered(first_comment(told_by(process)))

    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate()
    assert given["verdict"] in ("accept", "queue", "reject")
    assert (b"dk_" in logged, b"token=" in logged) == (False, False)
    assert process.returncode == 0


def test_a_later_start_tells_where_the_queue_is_and_no_secret(desk, serving):
    process = serving()

    said = told_by(process)

    assert re.match(r"The queue is at http://127\.0\.0\.1:[0-9]+/queue; `duyet sign-in`", said)
    assert said.count("\n") == 1


def test_a_taken_port_is_one_line_and_makes_nothing(empty):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        empty.set("DUYET_PORT", port)
        status, _, said = empty("serve")

    expected = f"duyet: port {port} on 127.0.0.1 is in use; stop what listens there, or set "
    assert (status, said) == (1, f"{expected}DUYET_PORT\n")
    assert not empty.settings.data_dir.exists()


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("203.0.113.1", "203.0.113.1 is no address of this machine"),
        ("x" * 64, f"{'x' * 64} is no address"),
    ],
)
def test_an_address_that_is_not_here_is_one_line(serving, host, says):
    process = serving(DUYET_HOST=host)

    _, said = process.communicate()

    assert (process.returncode, said.decode()) == (1, f"duyet: {says}; set DUYET_HOST\n")


def test_serving_imports_nothing_heavy():
    program = (
        "import sys; import service.commands, service.app\n"
        "print(*[m for m in ('sklearn', 'scipy', 'matplotlib', 'pandas') if m in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    assert ran.stdout == b"\n"


# ------------------------------------------------------------------ people


def test_somebody_is_added_on_one_site_alone(desk):
    made = desk.json("sign-in", "--name", "an", "--add", "admin", "--site", "blog")

    [site] = desk.store.sites()
    assert made["role"] == "admin"
    assert [one.roles for one in desk.store.moderators()] == [{site.id: "admin"}]
    assert desk("sign-in", "--name", "bo", "--add", "admin", "--site", "nowhere")[0] == 1
    assert desk("sign-in", "--name", "an", "--site", "blog")[0] == 2


def test_people_are_listed_with_their_roles(desk):
    desk("sign-in")
    desk("sign-in", "--name", "an", "--add", "viewer", "--site", "blog")

    listed = desk.json("people", "list")["people"]
    shown = desk("people", "list")[1]

    assert [(one["name"], one["role"], one["sites"]) for one in listed] == [
        ("admin", "admin", {}),
        ("an", None, {"blog": "viewer"}),
    ]
    assert "admin of every site" in shown
    assert "viewer of blog" in shown


def test_a_role_is_changed_and_the_last_admin_stays(desk):
    desk("sign-in")
    desk("sign-in", "--name", "an", "--add", "viewer", "--site", "blog")

    changed = desk.json("people", "role", "an", "admin", "--site", "blog")
    status, _, said = desk("people", "role", "admin", "none")

    assert (changed["was"], changed["role"]) == ("viewer", "admin")
    assert status == 1
    assert "somebody must be left" in said


def test_an_account_is_disabled_enabled_and_reset(desk):
    desk("sign-in", "--name", "an", "--add", "moderator")

    assert desk("people", "disable", "an")[0] == 0
    status, _, said = desk("sign-in", "--name", "an")
    assert desk("people", "enable", "an")[0] == 0
    assert desk("people", "reset", "an")[0] == 0

    assert (status, "`duyet people enable`" in said) == (1, True)
    assert desk("sign-in", "--name", "an")[0] == 0
    assert desk("people", "reset", "nobody")[0] == 1
