import json
import random
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click import ClickException, UsageError

from duyet.cli import run
from model.features import Spec
from model.judging import OfflineJudge
from model.registry import CHALLENGER, CHAMPION, Registry
from tests.judging_cases import a_manifest
from training.card import card_of, is_research_only
from training.examples import read_examples, submission_of
from training.fit import fit
from training.held_out import failures, gathered, judged_held_out
from training.recipes import RECIPES
from training.shards import _AtHand
from training.train_command import (
    PROBES,
    Options,
    data_digests,
    described,
    fitted_and_measured,
    trained_into,
)
from training.work import Work

ROOT = Path(__file__).parent.parent
SMALL = replace(RECIPES["general"], spec=Spec(bits=12), folds=3)
ADDRESS = "canary-2216@gmail.com"
WORDS = {
    "ham": "cảm ơn bài viết hay quá mình đã đọc xong thanks post learned gardens bread today",
    "spam": "casino bonus win money vay tiền nhanh click here nổ hũ khuyến mãi free loan",
    "clean": "hôm nay trời đẹp we walked home early and cooked rice with fish sau giờ làm",
    "toxic": "idiot stupid ngu im đi trash hate điên fool shut up cút loser",
}


def rows(count: int = 160) -> list[dict[str, object]]:
    """Made of words, alike by label; every group has each label."""
    draw = random.Random(1)
    return [
        {
            "id": str(at),
            "text": " ".join(draw.choices(WORDS[label].split(), k=9)),
            "label": label,
            "lang": draw.choice(["vi", "en"]),
            "source": "blog" if at % 8 < 4 else "forum",
            "group": f"g{at // 4 % 10}",
        }
        for at, label in zip(range(count), list(WORDS) * count, strict=False)
    ]


def written(path: Path, made: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return written(tmp_path_factory.mktemp("data") / "labelled.jsonl", rows())


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A registry after its first training, and what the command said."""
    out = tmp_path_factory.mktemp("trained") / "models"
    command = [sys.executable, "-m", "duyet", "train", data, "--out", str(out), "--jobs", "1"]
    said = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, check=True)
    return Registry(out), json.loads(said.stdout), said.stderr.decode()


@pytest.fixture
def call(capsysbinary):
    def duyet(*arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        captured = capsysbinary.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    return duyet


def test_the_first_version_is_challenger_and_champion(trained):
    registry, answer, _ = trained

    assert registry.versions() == [answer["version"]]
    assert registry.names() == {CHALLENGER: answer["version"], CHAMPION: answer["version"]}
    assert registry.load().version == answer["version"]


@pytest.fixture(scope="module")
def twice(data, tmp_path_factory):
    """Two registries after the same training, by one process and by two."""
    examples = gathered(read_examples(Path(data)), SMALL).examples
    registries = [Registry(tmp_path_factory.mktemp("twice")) for _ in range(2)]
    for registry, jobs in zip(registries, (1, 2), strict=True):
        options = Options(research=False, promote=False, jobs=jobs)
        trained_into(registry, examples, SMALL, options)
    return registries


@pytest.mark.parametrize("file", ["table.npy", "manifest.json", "card.md"])
def test_the_same_rows_and_seed_give_the_same_bytes_whatever_the_jobs(twice, file):
    [version], again = twice[0].versions(), twice[1].versions()

    one, two = (r.root / "versions" / version / file for r in twice)

    assert again == [version]
    assert one.read_bytes() == two.read_bytes()


def test_what_a_killed_training_left_in_the_registry_is_removed_by_the_next(twice, data, tmp_path):
    examples = gathered(read_examples(Path(data)), SMALL).examples
    left, busy, other = (tmp_path / name for name in (".training-a", ".training-b", "training-c"))
    for directory in (left, busy, other):
        with Work.at(directory).held():
            (directory / "rows" / "one").write_text("a comment")

    with Work(busy).held():
        trained_into(
            Registry(tmp_path), examples, SMALL, Options(research=False, promote=False, jobs=1)
        )

    assert not left.exists()
    assert (busy / "rows" / "one").exists()
    assert (other / "rows" / "one").exists()


@pytest.mark.parametrize("promote", [False, True])
def test_a_later_version_is_champion_only_when_asked_for(twice, data, promote):
    registry = twice[0]
    champion = registry.names()[CHAMPION]
    examples = gathered(read_examples(Path(data)), SMALL).examples
    other = replace(SMALL, seed=8 + promote)

    options = Options(research=False, promote=promote, jobs=1, why="it is only tried")
    _, names = trained_into(registry, examples, other, options)

    assert names[CHALLENGER] not in (champion, None)
    assert names[CHAMPION] == (names[CHALLENGER] if promote else champion)
    compared = registry.report(CHALLENGER, champion)
    assert (compared.judged, compared.champion) == ("held_out", champion)
    if promote:
        move = registry.moves()[-1]
        assert (move["from"], move["why"]) == (champion, "it is only tried")
        assert "not_shadowed" in move["overrode"]


def test_nobody_takes_a_champion_s_place_without_a_word(twice):
    registry = twice[0]
    before = registry.names(), registry.moves()

    with pytest.raises(UsageError, match="is champion there: --promote goes past the rule"):
        trained_into(registry, [], SMALL, Options(research=False, promote=True, jobs=1))

    assert (registry.names(), registry.moves()) == before


def test_the_manifest_tells_the_data_by_source(trained, data):
    manifest = trained[0].manifest(CHAMPION)

    assert [(d["name"], d["rows"], d["tier"]) for d in manifest.data] == [
        ("blog", 80, "own"),
        ("forum", 80, "own"),
    ]
    assert manifest.data[0]["labels"] == {"ham": 20, "spam": 20, "clean": 20, "toxic": 20}
    assert list(manifest.data) == data_digests(read_examples(Path(data)))


def test_a_changed_row_changes_its_sources_digest_alone(data):
    examples = list(read_examples(Path(data)))
    before = {d["name"]: d["sha256"] for d in data_digests(examples)}

    after = {d["name"]: d["sha256"] for d in data_digests(examples[1:])}

    assert before["forum"] == after["forum"]
    assert before["blog"] != after["blog"]


def test_the_manifest_holds_figures_histograms_and_probes(trained):
    manifest = trained[0].manifest(CHAMPION)

    spam = manifest.evaluation["tasks"]["spam"]
    assert (spam["all"]["rows"], spam["all"]["positives"]) == (80, 40)
    assert spam["sources"].keys() == {"blog", "forum"}
    assert spam["languages"].keys() == {"vi", "en"}
    assert spam["all"]["metrics"]["roc_auc"]["value"] > 0.95
    counts = manifest.histogram["heads"]
    assert {w: (len(c), sum(c)) for w, c in counts["spam"].items()} == {
        "spam": (20, 40),
        "ham": (20, 40),
    }
    assert tuple(text for text, _ in manifest.probes) == PROBES
    assert len(PROBES) >= 6


def test_the_card_lies_beside_the_manifest_and_can_be_made_again(trained):
    registry, answer, _ = trained
    manifest = registry.manifest(CHAMPION)

    card = (registry.root / "versions" / answer["version"] / "card.md").read_text()

    assert card == card_of(manifest)
    assert "| blog | 20 clean, 20 ham, 20 spam, 20 toxic | own |" in card
    assert "### spam: 40 spam, 40 ham" in card


def test_a_model_that_will_flag_nothing_by_score_says_so(trained):
    _, answer, said = trained

    assert len(answer["warnings"]) == 1
    assert "warning: no comment will be queued or rejected for its score" in said
    assert "takes 259 more of them" in said  # 299, and there are 40


def test_evaluating_held_out_gives_the_cards_figures(trained, data, call):
    _, out, _ = call("evaluate", data, "--held-out", "--jobs", "1", "--json")

    assert json.loads(out)["tasks"] == trained[0].manifest(CHAMPION).evaluation["tasks"]


def test_each_example_is_judged_by_the_fit_that_has_not_seen_its_group(data):
    examples = gathered(read_examples(Path(data)), SMALL).examples
    fitted = fit(examples, SMALL, jobs=1)
    chosen = [at for at, e in enumerate(examples) if (e.group, e.source) == ("g2", "blog")]
    [fold] = {fitted.fold_of[at] for at in chosen}

    judged = judged_held_out(examples, fitted, jobs=1)

    every = [row for rows in judged.values() for row in rows]
    scores = {row.score for row in every if (row.group, row.source) == ("g2", "blog")}
    assert len(every) == len(examples)
    assert scores == {_score(fitted.classifiers[fold], examples[at]) for at in chosen}
    assert scores.isdisjoint(_score(fitted.final, examples[at]) for at in chosen)


def _score(classifier, example):
    [verdict] = OfflineJudge(classifier).check([submission_of(example)])
    return verdict.scores.of(example.label.head)


RESEARCH = [row | {"source": "vihsd"} for row in rows(16)]


def test_research_only_rows_are_refused_unless_asked_for(tmp_path):
    file = written(tmp_path / "both.jsonl", [*rows(16), *RESEARCH])

    without = gathered(read_examples(Path(file)), RECIPES["general"])
    asked = gathered(read_examples(Path(file)), RECIPES["general"], research=True)

    assert {e.source for e in without.examples} == {"blog", "forum"}
    assert without.left_out.total() == len(RESEARCH)
    assert "vihsd" in next(iter(without.left_out))
    assert len(asked.examples) == 32


def test_a_model_of_research_data_says_so(tmp_path):
    file = written(tmp_path / "both.jsonl", [*rows(80), *RESEARCH])
    examples = gathered(read_examples(Path(file)), SMALL, research=True).examples
    options = Options(research=True, promote=False, jobs=1)

    manifest = described(fitted_and_measured(examples, SMALL, options))

    assert is_research_only(manifest)
    assert "Fitted to research-only data" in card_of(manifest)
    assert "| vihsd | 4 clean, 4 ham, 4 spam, 4 toxic | C (research only) |" in card_of(manifest)


def test_an_address_in_a_sources_name_goes_into_no_model(tmp_path):
    named = [row | {"source": f"blog of {ADDRESS}"} for row in rows(8)]
    file = written(tmp_path / "named.jsonl", named)

    found = gathered(read_examples(Path(file)), RECIPES["general"])

    assert "canary" not in json.dumps(data_digests(found.examples))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ([], "there are no labelled examples"),
        (rows(1), "at least two groups"),
        ([row for row in rows(40) if row["label"] in ("ham", "spam")], "toxicity"),
    ],
)
def test_too_few_examples_are_told_in_one_line(tmp_path, call, made, says):
    file = written(tmp_path / "few.jsonl", made)

    status, _, said = call("train", file, "--out", str(tmp_path / "models"), "--jobs", "1")

    assert (status, says in said) == (1, True)
    assert not (tmp_path / "models").exists()


def test_a_row_that_cannot_be_read_stops_it_or_is_counted(tmp_path, call):
    (tmp_path / "bad.jsonl").write_text('{"text": "canary"\n' + '{"text": "a"}\n')
    arguments = ["train", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path / "models")]

    stopped = call(*arguments)
    counted = call(*arguments, "--skip-bad")

    assert (stopped[0], "line 1: the line is not JSON" in stopped[2]) == (1, True)
    assert "left out: 1 rows that cannot be read" in counted[2]
    assert "left out: 1 rows without a label" in counted[2]
    assert "canary" not in stopped[2] + counted[2]


@pytest.mark.parametrize(
    "arguments",
    [["--held-out", "--model", "champion"], ["--recipe", "general"], ["--research"]],
)
def test_held_out_and_a_model_exclude_each_other(data, call, arguments):
    assert call("evaluate", data, *arguments)[0] == 2


def test_the_card_tells_invented_comments_that_were_judged_wrongly_and_no_real_one(data):
    read = gathered(read_examples(Path(data)), SMALL).examples
    spam = next(e for e in read if e.label.word == "spam")
    turned = replace(spam, label=next(e for e in read if e.label.word == "ham").label, lang="en")
    invented = [replace(turned, id=f"i{n}", source="synthetic_en", group=f"x{n}") for n in range(6)]
    signed = replace(turned, id="s", source="synthetic_en", group="y", author="Lan", text="ký tên")
    real = replace(turned, id="r", group="z", text=spam.text + " nhé")
    examples = [*read, *invented, signed, real]

    found = failures(examples, fit(examples, SMALL, jobs=1), each=4)

    assert {f["text"] for f in found} == {spam.text}
    assert all(f["label"] == "ham" and 0.5 < f["score"] <= 1 for f in found)
    assert 0 < len(found) <= 4
    manifest = replace(a_manifest(), evaluation={"tasks": {}, "failures": found})
    assert f"`{spam.text}`" in card_of(manifest)
    assert "## Known failures" not in card_of(replace(manifest, evaluation={}))


def test_a_full_disk_is_told_and_the_training_goes_on_from_there(data, tmp_path):
    examples = gathered(read_examples(Path(data)), SMALL).examples
    options = Options(research=False, promote=False, jobs=1, work=tmp_path)
    was, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
    try:
        with pytest.raises(ClickException, match=r"no room is left.*start the same command again"):
            fitted_and_measured(examples, SMALL, options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (was, most))
    read = {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}

    fitted_and_measured(examples, SMALL, options)

    assert read
    assert {path: path.stat().st_mtime_ns for path in read} == read


@pytest.mark.parametrize("what", ["shards", "taught"])
@pytest.mark.parametrize("content", [b"", b"\0" * 5_000, None], ids=["empty", "zeros", "cut off"])
def test_a_damaged_file_is_named_and_without_it_the_training_goes_on(
    data, tmp_path, monkeypatch, what, content
):
    examples = gathered(read_examples(Path(data)), SMALL).examples
    options = Options(research=False, promote=False, jobs=1, work=tmp_path)
    fitted_and_measured(examples, SMALL, options)
    [one, *_] = sorted((tmp_path / what).iterdir())
    whole = one.read_bytes()
    one.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for path in (tmp_path / "fits").iterdir():
        path.unlink()
    monkeypatch.setattr("training.shards._at_hand", _AtHand())  # as in a process of its own

    with pytest.raises(ClickException, match=f"{one} is damaged: delete it"):
        fitted_and_measured(examples, SMALL, options)

    one.unlink()
    fitted_and_measured(examples, SMALL, options)
    assert one.read_bytes() == whole
