"""`duyet train` without a FILE: from what people of an installation said, to a challenger."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from duyet.train_store import Gone, gone_since, train_from_store
from model.comparison import Note
from model.decision import WordOf
from model.features import Spec
from model.outcome import Head
from model.registry import CHALLENGER, CHAMPION, Registry
from service.serving import registry_of
from service.storage.erasure import Erasure, Erasures
from service.storage.jobs import Jobs
from service.storage.label_findings import FindingKind, LabelFindings
from tests.judging_cases import a_manifest
from tests.test_commands import Desk
from training.contenders import Options
from training.memory import size_of
from training.own_version import STAGES
from training.rehearsal import own_texts
from training.resolving import resolved

FEW = Spec(bits=10, chars=(), words=(1,), marked=())
WORDS = {
    "approved": "ga tàu chuyến muộn vé đường ray station platform late ticket",
    "spam": "seo backlink guest post agency rank từ khóa dịch vụ giá rẻ zalo",
}


@pytest.fixture
def installed(tmp_path, monkeypatch, capsysbinary):
    """An installation with a site."""
    desk = Desk(tmp_path / "var", monkeypatch, capsysbinary)
    desk("migrate")
    desk("sites", "add", "blog")
    yield desk
    desk.close()


@pytest.fixture
def blog(installed, tmp_path, monkeypatch):
    """It has 60 comments that were decided, and a small champion; few texts are rehearsed."""
    few = own_texts()[::20]
    monkeypatch.setattr("duyet.train_store.own_texts", lambda: few)
    draw = random.Random(2)
    with (tmp_path / "old.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "status", "content", "permalink", "written_at"])
        for at, status in zip(range(60), list(WORDS) * 30, strict=True):
            said = " ".join(draw.choices(WORDS[status].split(), k=9))
            article = f"https://blog.example/{at // 2 % 12}"
            rows.writerow([at, status, f"{said} {at}", article, f"2026-05-{at // 3 + 1:02}"])
    assert installed("import", str(tmp_path / "old.csv"), "--site", "blog")[0] == 0
    table = np.random.default_rng(1).normal(0, 0.3, (2**FEW.bits, 2)).astype(np.float32)
    registry = models(installed)
    base = registry.add(a_manifest(spec=FEW), table)
    registry.move(CHAMPION, base, who="a test", why="to begin with", at=datetime.now(UTC))
    return installed


def models(desk: Desk) -> Registry:
    return registry_of(desk.settings)


def erase_somebody(desk: Desk, directory: Path) -> None:
    """Somebody had four comments taken for spam, and is erased."""
    rows = ["id,status,content,permalink,written_at,email"]
    here = "https://blog.example/1,2026-05-01,lan@mail.example"
    rows += [f"e{at},spam,bạch quả {at},{here}" for at in range(4)]
    (directory / "hers.csv").write_text("\n".join(rows), "utf-8")
    assert desk("import", str(directory / "hers.csv"), "--site", "blog")[0] == 0
    erasures = Erasures(desk.store)
    gone = erasures.erase(erasures.keys_of("lan@mail.example", desk.store.sites()), by="an")
    assert (gone.comments, gone.labelled) == (4, 4)


def test_the_store_s_labels_make_a_challenger_and_are_told_as_they_do(blog, tmp_path):
    before = models(blog).names()[CHAMPION]
    erase_somebody(blog, tmp_path)

    status, out, said = blog("train", "--progress", "json", "--jobs", "1", "--no-attacks")

    assert status == 0, said
    *lines, last = [json.loads(line) for line in out.splitlines()]
    assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)
    assert {line["stage"] for line in lines} == set(STAGES)
    assert (last["stage"], last["done"], last["parent"]) == ("added", 1.0, before)
    assert last["labels"] == {"clean": 30, "ham": 30, "spam": 30}
    audit = LabelFindings(blog.store).last(FindingKind.AUDIT)
    assert (audit.body["judged"], last["suspect"]) == (60, len(audit.body["labels"]))
    assert models(blog).names() == {CHAMPION: before, CHALLENGER: last["version"]}
    job = Jobs(blog.store).last()[0]
    assert (job.asked_by, job.state, job.result["version"]) == ("operator", "done", last["version"])
    assert Jobs(blog.store).new_labels() == 0
    report = models(blog).report(CHALLENGER)
    assert (report.judged, report.rows, last["compared"]) == ("held_out", 90, True)
    assert report.notes[0] == Note("erased", {"comments": 4, "labelled": 4})
    assert "4 bình luận của những người đã được xóa" in models(blog).report_page(
        CHALLENGER, language="vi"
    )
    _, card, _ = blog("models", "show", "challenger")
    assert f"Version `{before}`, its head for spam moved" in card
    assert "duyet:blog" in card
    assert "4 comments of people who were erased are gone since that version came" in card
    assert models(blog).manifest(CHALLENGER).recipe["erased"] == 4
    refused, _, why = blog("models", "promote", "challenger", "--why", "learnt")
    assert (refused, "has not watched live comments" in why) == (1, True)


def test_of_more_labels_than_memory_holds_some_are_drawn_and_that_is_told(blog, monkeypatch):
    some = sum(map(size_of, blog.store.labelled())) * 7 // 10
    monkeypatch.setattr("duyet.train_store.room_for_labels", lambda jobs, memory: some)

    status, out, said = blog("train", "--jobs", "1", "--no-attacks", "--memory", "1500MB", "--json")

    assert status == 0, said
    answer = json.loads(out)
    left = answer["left_out"]["that 1.5GB of memory have no room for"]
    labels = answer["labels"]
    assert sum(labels.values()) + left == 90
    assert 60 < sum(labels.values()) < 66
    assert labels["ham"] == labels["clean"]
    assert models(blog).manifest(CHALLENGER).recipe["left_out"] == answer["left_out"]
    told = f"{left} labels were left out: that 1.5GB of memory have no room for."
    assert told in blog("train", "--jobs", "1", "--no-attacks", "--memory", "1500MB")[1]
    assert blog("train", "--memory", "10MB")[0] == 2


def test_what_labels_moved_is_not_moved_by_them_again(blog):
    registry, few = models(blog), own_texts()[::40]
    labels, how = list(blog.store.labelled()), Options(attacked=0)
    base = registry.names()[CHAMPION]

    said = {(Head.SPAM, WordOf.DECISION, "mai"): 0.0, (Head.TOXICITY, WordOf.DECISION, "mai"): 0.5}
    first = train_from_store(
        labels, resolved(labels), registry, how=how, rehearsed=few, reliance=said
    )
    registry.move(CHAMPION, first.version, who="a test", why="learnt", at=datetime.now(UTC))
    again = train_from_store(labels, resolved(labels), registry, how=how, rehearsed=few)

    assert again.own.manifest.recipe["parent"] == base
    assert again.version == first.version
    assert first.comparison is not None
    assert again.comparison is None
    assert Note("distrusted", {"accounts": 1}) in first.comparison.notes


def test_only_what_was_erased_since_the_parent_came_is_told(blog):
    registry = models(blog)
    first = registry.moves()[0]
    version, made = first["to"], datetime.fromisoformat(first["at"])
    erasures = [
        Erasure(str(hours), "site", made + timedelta(hours=hours), "an", "", comments, labelled)
        for hours, comments, labelled in ((-1, 100, 50), (1, 5, 2), (2, 1, 0))
    ]

    assert gone_since(registry, version, erasures) == Gone(6, 2)
    assert gone_since(registry, version, erasures[:1]).written == {}


def test_too_few_labels_are_told_in_a_line(installed):
    status, out, said = installed("train", "--jobs", "1")

    assert (status, out) == (1, "")
    assert said.startswith("duyet: too few labels to learn from: 0 spam, 0 ham")


@pytest.mark.parametrize("begins", [True, False])
def test_one_that_a_service_started_ends_by_itself_and_with_the_service(installed, begins):
    """Its input is a pipe that a service holds: the end of either is told by how it ends."""
    call = [sys.executable, "-m", "duyet", "train", "--jobs", "1", "--ends-with-input"]
    environment = os.environ | {"DUYET_DATA_DIR": str(installed.settings.data_dir)}
    with subprocess.Popen(
        call,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as training:
        assert training.stdin is not None
        assert training.stderr is not None
        if not begins:
            training.stdin.close()
        training.wait(60)
        said = training.stderr.read().decode()

    if begins:
        assert (training.returncode, said.count("\n")) == (1, 1), said
        assert said.startswith("duyet: too few labels")
    else:
        assert training.returncode == -signal.SIGTERM, said


@pytest.mark.parametrize(
    ("call", "told"),
    [(["--promote"], "--promote goes with FILE"), (["-"], "--out says where")],
)
def test_what_does_not_go_together_is_a_wrong_call(installed, call, told):
    status, _, said = installed("train", *call)

    assert status == 2
    assert told in said
