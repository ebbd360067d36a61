"""`duyet train` without a FILE: from what people of an installation said, to a challenger."""

import csv
import json
import random
from datetime import UTC, datetime

import numpy as np
import pytest

from duyet.train_store import train_from_store
from model.features import Spec
from model.registry import CHALLENGER, CHAMPION, Registry
from service.serving import registry_of
from tests.judging_cases import a_manifest
from tests.test_commands import Desk
from training.contenders import Options
from training.own_version import STAGES
from training.rehearsal import own_texts

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
def blog(installed, tmp_path):
    """It has 60 comments that were decided, and a small champion."""
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


def test_the_store_s_labels_make_a_challenger_and_are_told_as_they_do(blog):
    before = models(blog).names()[CHAMPION]

    status, out, said = blog("train", "--progress", "json", "--jobs", "1", "--no-attacks")

    assert status == 0, said
    *lines, last = [json.loads(line) for line in out.splitlines()]
    assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)
    assert {line["stage"] for line in lines} == set(STAGES)
    assert (last["stage"], last["done"], last["parent"]) == ("added", 1.0, before)
    assert last["labels"] == {"clean": 30, "ham": 30, "spam": 30}
    assert models(blog).names() == {CHAMPION: before, CHALLENGER: last["version"]}
    report = models(blog).report(CHALLENGER)
    assert (report.judged, report.rows, last["compared"]) == ("held_out", 90, True)
    _, card, _ = blog("models", "show", "challenger")
    assert f"Version `{before}`, its head for spam moved" in card
    assert "duyet:blog" in card
    refused, _, why = blog("models", "promote", "challenger", "--why", "learnt")
    assert (refused, "has not watched live comments" in why) == (1, True)


def test_what_labels_moved_is_not_moved_by_them_again(blog):
    registry, few = models(blog), own_texts()[::40]
    labels, how = list(blog.store.labelled()), Options(attacked=0)
    base = registry.names()[CHAMPION]

    first = train_from_store(labels, registry, how=how, rehearsed=few)
    registry.move(CHAMPION, first.version, who="a test", why="learnt", at=datetime.now(UTC))
    again = train_from_store(labels, registry, how=how, rehearsed=few)

    assert again.own.manifest.recipe["parent"] == base
    assert again.version == first.version
    assert first.comparison is not None
    assert again.comparison is None


def test_too_few_labels_are_told_in_a_line(installed):
    status, out, said = installed("train", "--jobs", "1")

    assert (status, out) == (1, "")
    assert said.startswith("duyet: too few labels to learn from: 0 spam, 0 ham")


@pytest.mark.parametrize(
    ("call", "told"),
    [(["--promote"], "--promote goes with FILE"), (["-"], "--out says where")],
)
def test_what_does_not_go_together_is_a_wrong_call(installed, call, told):
    status, _, said = installed("train", *call)

    assert status == 2
    assert told in said
