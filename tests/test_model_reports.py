"""The commands `duyet models compare` and `duyet models report`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from duyet.cli import run
from model.registry import CHALLENGER, CHAMPION, Registry
from tests.judging_cases import a_manifest, a_table
from tests.test_comparing import examples

ADDRESS = "canary-7731@gmail.com"


def row_of(example):
    told = {name: asdict(example)[name] for name in ("id", "lang", "source", "group")}
    text = f"{example.text} {ADDRESS} 0912 345 678"
    return {**told, "text": text, "label": example.label.word, "extra": dict(example.extra)}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    path = tmp_path_factory.mktemp("labelled") / "labelled.jsonl"
    path.write_text("".join(json.dumps(row_of(e)) + "\n" for e in examples(120)))
    return str(path)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    made = Registry(tmp_path_factory.mktemp("models"))
    for name, seed in ((CHAMPION, 3), (CHALLENGER, 4)):
        version = made.add(a_manifest(), a_table(seed))
        made.move(name, version, who="a test", why="to compare", at=datetime.now(UTC))
    return made


@pytest.fixture
def call(capsysbinary, registry):
    def duyet(*arguments: str) -> tuple[int, str, str]:
        status = run(["models", *arguments, "--models", str(registry.root)])
        captured = capsysbinary.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    return duyet


QUICK = ("--no-attacks", "--jobs", "1")


def test_a_comparison_is_told_written_and_kept(call, registry, labelled, tmp_path):
    page = tmp_path / "report.html"

    status, said, _ = call("compare", "challenger", labelled, *QUICK, "-o", str(page))

    assert status == 0
    assert "Not yet: do not promote it." in said
    assert "may have learned from the comments" in said
    names = registry.names()
    kept = registry.report(CHALLENGER)
    assert (kept.challenger, kept.champion) == (names[CHALLENGER], names[CHAMPION])
    assert "<h1" in page.read_text("utf-8")
    assert "Chưa nên" in registry.report_page(CHALLENGER, language="vi")


def test_no_address_or_number_leaves(call, registry, labelled, tmp_path):
    page = tmp_path / "report.html"

    _, said, complained = call("compare", "challenger", labelled, *QUICK, "--json", "-o", str(page))

    kept = [path.read_text("utf-8") for path in registry.root.rglob("reports/*/*/*.*")]
    everything = [said, complained, page.read_text("utf-8"), *kept]
    assert len(everything) >= 6
    assert not any(ADDRESS in text or "345 678" in text for text in everything)
    assert "c•••@gmail.com" in said


def test_only_the_file_that_was_asked_for_quotes_the_stores_comments(call, registry, labelled):
    _, said, _ = call("compare", "challenger", labelled, *QUICK, "--json")

    quoted = {e["text"] for f in json.loads(said)["flips"] for e in f["examples"] if e["id"]}
    kept = registry.report_page(CHALLENGER) + registry.report(CHALLENGER).to_json()
    assert quoted
    assert not any(text in kept for text in quoted)


def test_the_champion_may_be_another_than_the_one_in_use(call, registry, labelled):
    champion = registry.names()[CHAMPION]

    status, said, _ = call("compare", champion, "challenger", labelled, *QUICK, "--json")

    assert status == 0
    assert json.loads(said)["champion"] == registry.names()[CHALLENGER]


def test_whoever_says_unseen_may_promote_by_it(call, registry, labelled):
    call("compare", "challenger", labelled, *QUICK, "--unseen")

    assert registry.report(CHALLENGER).judged == "unseen"
    _, _, said = call("compare", "challenger", labelled, *QUICK)
    assert "not kept" in said
    assert registry.report(CHALLENGER).judged == "unseen"


def test_nothing_is_kept_when_that_is_wanted(call, registry, labelled):
    call("compare", "champion", labelled, *QUICK, "--no-keep")

    assert registry.report(CHAMPION) is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("challenger", "champion"), "no file 'champion', and no FILE after it"),
        (("challenger", "champion", "nowhere.jsonl"), "no file 'nowhere.jsonl'"),
        (("challenger",), "Missing argument"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, arguments, complaint):
    status, _, said = call("compare", *arguments)

    assert status == 2
    assert complaint in said


def test_a_model_that_is_not_there_is_named(call, labelled):
    status, _, said = call("compare", "nobody", labelled, *QUICK)

    assert status == 1
    assert "no model 'nobody'" in said


def test_a_file_without_labels_is_refused(call, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")

    status, _, said = call("compare", "challenger", str(empty), *QUICK)

    assert (status, said) == (1, "duyet: there are no labelled rows\n")


def test_a_version_has_its_page_and_its_json(call, registry, labelled, tmp_path):
    call("compare", "challenger", labelled, *QUICK)
    page = tmp_path / "version.html"

    status, said, _ = call("report", "challenger", "-o", str(page), "--json", "--language", "vi")

    version = registry.names()[CHALLENGER]
    assert status == 0
    assert json.loads(said)["version"] == version
    written = page.read_text("utf-8")
    assert version in written
    assert f"So với {registry.names()[CHAMPION]}" in written
    assert "challenger, bởi a test: to compare" in written


def test_a_comparison_that_was_kept_is_put_on_a_page(call, labelled):
    call("compare", "challenger", labelled, *QUICK)

    status, said, _ = call("report", "challenger", "--against", "champion")

    assert status == 0
    assert said.startswith("<!doctype html>")


def test_a_comparison_that_nobody_made_is_asked_for(call):
    status, _, said = call("report", "champion", "--against", "champion")

    assert status == 1
    assert "nobody compared champion with champion" in said
