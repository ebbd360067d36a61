import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from duyet.cli import run
from model.features import FEATURES_VERSION, Spec, Texts
from model.judging import OfflineJudge
from model.outcome import HeadThresholds, Outcome, Thresholds
from model.reasons import sentence
from model.registry import CHALLENGER, CHAMPION, Manifest, Registry
from model.submission import Submission
from tests.judging_cases import a_promise, blocks_of

ROOT = Path(__file__).parent.parent
SPAM = "casino bonus casino bonus win money now"
HAM = "Cảm ơn bài viết"
ADDRESS = "canary-9034@gmail.com"


def add_version(registry: Registry, weight: float) -> str:
    """A version that knows one kind of spam, by weights set by hand."""
    spec = Spec(bits=12)
    table = np.zeros((1 << spec.bits, 2), np.float32)
    for block in blocks_of(Texts(SPAM), spec):
        table[block.distinct, 0] = weight
    at = Thresholds(queue_at=0.5, reject_at=0.9)
    manifest = Manifest(
        version="",
        features_version=FEATURES_VERSION,
        spec=spec,
        bias=(-5.0, -5.0),
        promise=a_promise(HeadThresholds(spam=at, toxicity=at)),
        digests={},
        recipe={"name": "by hand"},
        data=({"name": "blog", "rows": 3, "labels": {"ham": 3}, "tier": "own", "sha256": "00"},),
    )
    return registry.add(manifest, table, extra={"card.md": "A card.\n"})


@pytest.fixture
def models(tmp_path):
    """A registry of two versions, the first of which is champion."""
    registry = Registry(tmp_path / "models")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    version = add_version(registry, 1.0)
    registry.move(CHAMPION, version, who="tests", why="the first", at=at)
    registry.move(CHALLENGER, add_version(registry, 2.0), who="tests", why="new", at=at)
    return registry


@pytest.fixture
def call(monkeypatch, capsysbinary, models, tmp_path):
    """The command line in a place where those models are the service's own."""
    for name in [name for name in os.environ if name.startswith("DUYET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUYET_MODELS", str(models.root))

    def duyet(*arguments: str) -> tuple[int, bytes, str]:
        status = run(list(arguments))
        captured = capsysbinary.readouterr()
        return status, captured.out, captured.err.decode()

    return duyet


def jsonl(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def file_of(tmp_path: Path, data: bytes, name: str = "comments.jsonl") -> str:
    (tmp_path / name).write_bytes(data)
    return str(tmp_path / name)


def bodies(out: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.split(b"\n")[:-1]]


# ------------------------------------------------------------------ score

ROWS = [{"id": "1", "text": SPAM}, {"id": 2, "text": HAM, "label": "ham"}, {"text": ""}]


def test_each_line_in_gives_a_line_out_in_order(call, tmp_path):
    status, out, said = call("score", file_of(tmp_path, jsonl(*ROWS)))

    assert (status, said) == (0, "")
    assert [(body["id"], body["outcome"]) for body in bodies(out)] == [
        ("1", "reject"),
        ("2", "accept"),
        (None, "accept"),
    ]


def test_scores_are_those_that_were_judged_to_the_last_bit(call, models, tmp_path):
    [verdict] = OfflineJudge(models.load()).check([Submission(SPAM)])

    [body] = bodies(call("score", file_of(tmp_path, jsonl(ROWS[0])))[1])

    assert body["scores"] == {"spam": verdict.scores.spam, "toxicity": verdict.scores.toxicity}
    thresholds = models.load().promise.thresholds("en", reject_risk=0.005, queue_risk=0.01)
    assert thresholds.spam.outcome(body["scores"]["spam"]) is Outcome.of(body["outcome"])


@pytest.mark.parametrize("language", ["en", "vi"])
def test_reasons_are_worded_in_the_language_asked_for(call, tmp_path, language):
    file = file_of(tmp_path, jsonl(ROWS[0]))

    [body] = bodies(call("score", file, "--language", language)[1])

    [reason] = body["reasons"]
    assert reason["code"] == "score.spam_likely"
    assert reason["message"] == sentence("score.spam_likely", language)
    assert (reason["field"], bool(reason["evidence"])) == ("content", True)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b'{"id": "1"}\n', [(None, "line 1: text is missing")]),
        (b'{"text": "canary"\n{"id": "2", "text": ""}\n', [(None, "line 1: the line"), ("2", "")]),
        (b'{"id": "1", "text": ""}\n\xff\n', [("1", ""), (None, "line 2: the line is not UTF-8")]),
        (
            b'{"id": "1", "text": ""}\n\n \n{"id": "4", "text": ""}\n\n',
            [("1", ""), (None, "line 2: the line is blank"), (None, "line 3: "), ("4", "")],
        ),
        (b'[1]\n\n"x"\n', [(None, "line 1"), (None, "line 2"), (None, "line 3")]),
        (b'{"id": "1", "text": "x", "label": "rude"}', [(None, "line 1: label must be one of")]),
    ],
)
def test_a_line_that_cannot_be_read_has_its_place_and_the_status_says_so(
    call, tmp_path, data, lines
):
    status, out, said = call("score", file_of(tmp_path, data))

    found = bodies(out)
    assert [body["id"] for body in found] == [id_ for id_, _ in lines]
    assert [p for b, (_, p) in zip(found, lines, strict=True) if p not in b.get("error", "")] == []
    bad = sum(bool(problem) for _, problem in lines)
    assert (status, said) == (1, f"duyet: {bad} lines could not be read\n")
    assert b"canary" not in out


def test_an_empty_file_gives_nothing(call, tmp_path):
    assert call("score", file_of(tmp_path, b"\n\n")) == (0, b"", "")


def test_gzip_is_read_and_damage_to_it_told(call, tmp_path):
    packed = gzip.compress(jsonl(*ROWS) * 20)

    whole = call("score", file_of(tmp_path, packed, "whole.jsonl.gz"))
    status, out, said = call("score", file_of(tmp_path, packed[:-12], "cut.jsonl.gz"))

    assert (whole[0], len(bodies(whole[1]))) == (0, 60)
    assert (status, said.count("\n")) == (1, 1)
    assert "the gzip data is damaged" in said
    assert bodies(out) == bodies(whole[1])[: len(bodies(out))]


def test_any_model_of_the_registry_can_score(call, models, tmp_path):
    file = file_of(tmp_path, jsonl(ROWS[0]))

    champion, challenger = (
        bodies(call("score", file, "--model", name)[1])[0]["scores"]["spam"]
        for name in (CHAMPION, models.names()[CHALLENGER])
    )

    assert challenger > champion


def test_an_unknown_model_is_told_which_there_are(call, tmp_path):
    status, out, said = call("score", file_of(tmp_path, b""), "--model", "absent")

    assert (status, out, said.count("\n")) == (1, b"", 1)
    assert "challenger, champion" in said


def test_a_registry_that_was_named_is_not_silently_another(call, tmp_path):
    status, _, said = call("score", file_of(tmp_path, b""), "--models", str(tmp_path / "elsewhere"))

    assert status == 1
    assert "elsewhere" in said


def test_the_models_of_the_data_directory_are_the_usual_ones(call, monkeypatch, models, tmp_path):
    monkeypatch.delenv("DUYET_MODELS")
    monkeypatch.setenv("DUYET_DATA_DIR", str(tmp_path))

    assert json.loads(call("models", "list", "--json")[1])["registry"] == str(models.root)


def test_no_text_stops_it(call, tmp_path):
    texts = ["\u0000", "\ud800", "\u202eabc", "e" + "\u0301" * 5000, "http://" * 3000, "\U0010ffff"]

    status, out, _ = call("score", file_of(tmp_path, jsonl(*({"text": t} for t in texts))))

    assert (status, len(bodies(out))) == (0, len(texts))
    assert {body["outcome"] for body in bodies(out)} <= {"accept", "queue", "reject"}


def test_an_address_in_a_comment_does_not_come_out(call, tmp_path):
    row = {"id": "1", "text": f"{SPAM} {ADDRESS} {SPAM}", "email": ADDRESS, "author": ADDRESS}

    _, out, _ = call("score", file_of(tmp_path, jsonl(row)))

    assert b"canary" not in out


def test_it_answers_each_line_of_a_pipe_at_once_without_anything_heavy(models):
    program = (
        "import sys; from duyet.cli import run\n"
        "status = run(['score', '-', '--models', sys.argv[1]])\n"
        "heavy = ('sklearn', 'scipy', 'sqlalchemy', 'fastapi', 'matplotlib')\n"
        "print(status, *[m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(models.root)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    process.stdin.write(jsonl(ROWS[0]))
    process.stdin.flush()
    first = process.stdout.readline()

    rest, said = process.communicate(jsonl(ROWS[1]))
    assert json.loads(first)["outcome"] == "reject"
    assert (len(bodies(rest)), said) == (1, b"0\n")


def test_a_reader_that_has_had_enough_ends_it_quietly(models, tmp_path):
    file = file_of(tmp_path, jsonl(*ROWS) * 1000)
    command = [sys.executable, "-m", "duyet", "score", file, "--models", str(models.root)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()

        process.stdout.close()

        assert (process.stderr.read(), process.wait()) == (b"", 1)


# ------------------------------------------------------------------ models


def test_listing_names_every_version_and_what_points_at_it(call, models):
    table, body = (
        call("models", "list")[1].decode(),
        json.loads(call("models", "list", "--json")[1]),
    )

    names = models.names()
    assert body["names"] == names
    assert {v["version"]: v["names"] for v in body["versions"]} == {
        names[CHAMPION]: [CHAMPION],
        names[CHALLENGER]: [CHALLENGER],
    }
    assert {v["rows"] for v in body["versions"]} == {3}
    assert all(version in table for version in names.values())


def test_a_version_that_cannot_be_read_does_not_hide_the_others(call, models):
    broken = models.names()[CHALLENGER]
    (models.root / "versions" / broken / "manifest.json").write_text("{")

    status, out, _ = call("models", "list", "--json")

    found = {v["version"]: v.get("problem", "") for v in json.loads(out)["versions"]}
    assert (status, len(found)) == (0, 2)
    assert "cannot be read" in found[broken]


def test_a_model_is_shown_with_its_data_promise_and_moves(call, models):
    text = call("models", "show", "challenger")[1].decode()

    assert f"Version {models.names()[CHALLENGER]} (challenger)" in text
    assert "| blog | 3 ham | own |" in text
    assert "| vi | 5,000 | 50 | none, none, none |" in text
    assert "2026-01-01T00:00  challenger by tests: new" in text


def test_a_model_is_shown_to_a_machine_whole(call, models):
    body = json.loads(call("models", "show", "--json")[1])

    assert body["version"] == models.names()[CHAMPION]
    assert body["moves"][0]["why"] == "the first"
    assert body["digests"].keys() >= {"table.npy", "card.md"}


def test_a_promotion_moves_the_name_and_is_written_down(call, models):
    before, after = models.names()[CHAMPION], models.names()[CHALLENGER]

    status, out, _ = call(
        "models", "promote", "challenger", "--why", "better", "--override", "--json"
    )

    assert (status, json.loads(out)) == (0, {"champion": after, "before": before})
    assert models.names()[CHAMPION] == after
    move = models.moves()[-1]
    assert (move["name"], move["from"], move["to"]) == (CHAMPION, before, after)
    assert (move["who"], move["why"]) == ("operator", "better")
    assert move["overrode"] == ["not_compared", "not_shadowed"]


def test_a_rollback_brings_the_champion_before_back(call, models):
    before = models.names()[CHAMPION]
    call("models", "promote", "challenger", "--why", "better", "--override")

    status, _, _ = call("models", "rollback", "--why", "worse")

    assert (status, models.names()[CHAMPION]) == (0, before)


def test_a_rollback_to_nothing_is_refused(call, models):
    status, _, said = call("models", "rollback", "--why", "worse")

    assert (status, said.count("\n")) == (1, 1)
    assert "nothing to roll back to" in said


@pytest.mark.parametrize("arguments", [["promote", "challenger"], ["rollback"]])
def test_a_move_needs_its_reason(call, models, arguments):
    before = models.names()

    assert call("models", *arguments)[0] == 2
    assert models.names() == before


def test_a_version_that_was_changed_is_never_promoted(call, models):
    changed = models.root / "versions" / models.names()[CHALLENGER] / "card.md"
    changed.write_text("Better than it is.\n")

    status, _, said = call("models", "promote", "challenger", "--why", "better", "--override")

    assert status == 1
    assert "card.md is not what was written" in said
    assert models.names()[CHAMPION] != models.names()[CHALLENGER]


@pytest.mark.parametrize("name", ["", ".hidden", "../card.md", "a/b", "table.npy", "manifest.json"])
def test_a_text_beside_a_version_has_a_plain_name(tmp_path, name):
    registry = Registry(tmp_path / "models")
    version = add_version(registry, 1.0)
    manifest = registry.manifest(version)

    with pytest.raises(ValueError, match="plain names"):
        registry.add(manifest, np.zeros((4096, 2), np.float32), extra={name: ""})

    assert registry.versions() == [version]


# ------------------------------------------------------------------ promotion and signatures


def test_a_promotion_that_the_rule_refuses_says_every_reason(call, models):
    before = models.names()

    status, out, said = call("models", "promote", "challenger", "--why", "better", "--json")

    assert (status, models.names()) == (1, before)
    refused = {reason["code"]: reason["message"] for reason in json.loads(out)["refused"]}
    assert refused.keys() == {"not_compared", "not_shadowed"}
    assert all(message in said for message in refused.values())
    assert "--override" in said


def test_the_champion_is_not_promoted_over_itself(call, models):
    before = models.moves()

    assert call("models", "promote", "champion", "--why", "again")[0] == 0
    assert models.moves() == before


def test_the_first_champion_needs_no_comparison(call, tmp_path, monkeypatch):
    monkeypatch.setenv("DUYET_MODELS", str(tmp_path / "new"))
    version = add_version(Registry(tmp_path / "new"), 1.0)

    status, out, _ = call("models", "promote", version, "--why", "the first", "--json")

    assert (status, json.loads(out)) == (0, {"champion": version, "before": None})


def test_a_registry_is_signed_by_command_and_kept_signed(call, models):
    key = call("models", "key")[1].decode().strip()
    refused = call("models", "rollback", "--why", "worse")
    signed = call("models", "sign", "--all", "--why", "these are ours")
    promoted = call("models", "promote", "challenger", "--why", "better", "--override")
    listed = json.loads(call("models", "list", "--json")[1])

    assert len(key) == 64
    assert refused[0] == 1
    assert "names.json is not signed" in refused[2]
    assert (signed[0], promoted[0]) == (0, 0)
    assert models.is_signed()
    assert {version["rows"] for version in listed["versions"]} == {3}
    assert [move["why"] for move in models.moves()][-2:] == ["these are ours", "better"]
    assert call("score", os.devnull)[0] == 0


def test_a_refused_registry_is_listed_with_why(call, models):
    call("models", "sign", "--all", "--why", "these are ours")
    (models.root / "names.json").write_text("{}")

    listed = json.loads(call("models", "list", "--json")[1])

    assert "names.json is gone" in listed["problem"]
    assert len(listed["versions"]) == 2


def test_another_installations_registry_is_read_by_its_digests_and_not_written(
    call, models, tmp_path, monkeypatch
):
    call("models", "sign", "--all", "--why", "these are ours")
    monkeypatch.setenv("DUYET_DATA_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("DUYET_MODELS")
    there = ("--models", str(models.root))

    assert call("models", "show", *there)[0] == 0
    status, _, said = call("models", "rollback", "--why", "mine now", *there)
    assert status == 1
    assert "nothing to roll back to" in said or "no key here" in said
    assert call("models", "promote", "challenger", "--why", "x", "--override", *there)[0] == 1


@pytest.mark.parametrize("keys", ["abc", "00" * 31, "é" * 64])
def test_a_key_that_is_none_is_refused(call, models, monkeypatch, keys):
    call("models", "key")
    monkeypatch.setenv("DUYET_TRUSTED_MODEL_KEYS", keys)

    status, _, said = call("models", "list")

    assert status == 1
    assert "DUYET_TRUSTED_MODEL_KEYS" in said
