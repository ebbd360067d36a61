"""A champion moved by a site's labels: it learns them, and lets go of nothing else."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from model.classifier import HEADS
from model.decision import Label, LabelledExample
from model.features import Spec, Texts
from model.outcome import OFF, Head
from model.promise import ANY, RISKS, Kept, Promise
from model.signs import letters_as_read
from training.fit import NotEnough, fit_once
from training.own import own_model, units_of
from training.own_fit import OWN
from training.recipes import RECIPES
from training.rehearsal import SUPPORTING, own_texts, supporting, topic_of

SMALL = replace(RECIPES["general"], spec=Spec(bits=12), folds=3)
KNOWN = {
    Label(Head.SPAM, False): "cảm ơn bài viết hay quá mình đã đọc xong thanks post learned gardens",
    Label(Head.SPAM, True): "casino bonus win money vay tiền nhanh click here nổ hũ khuyến mãi",
    Label(Head.TOXICITY, False): "hôm nay trời đẹp we walked home early and cooked rice with fish",
    Label(Head.TOXICITY, True): "idiot stupid ngu im đi trash hate điên fool shut up cút loser",
}
HERE = {
    Label(Head.SPAM, False): "ga tàu chuyến muộn vé đường ray station platform late ticket",
    Label(Head.SPAM, True): "seo backlink guest post agency rank từ khóa dịch vụ giá rẻ zalo",
}


def made(words: dict[Label, str], count: int, *, source: str, seed: int) -> list[LabelledExample]:
    """Comments of those words, ten groups, alike by label."""
    draw = random.Random(seed)
    labels = list(words)
    return [
        LabelledExample(
            id=str(at),
            text=" ".join(draw.choices(words[label].split(), k=9)),
            label=label,
            source=source,
            group=f"g{at // len(labels) % 10}",
        )
        for at, label in zip(range(count), labels * count, strict=False)
    ]


@pytest.fixture(scope="module")
def champion():
    taught = made(KNOWN, 240, source="before", seed=1)
    thresholds = ((OFF,) * 7 + (0.9,) * (len(RISKS) - 7),) * 3
    promise = Promise({ANY: Kept(700, 60, *thresholds)})
    return replace(fit_once(taught, SMALL, jobs=1), version="base", promise=promise)


@pytest.fixture(scope="module")
def rehearsed():
    return made(KNOWN, 160, source="before", seed=2)


@pytest.fixture(scope="module")
def labels():
    return made(HERE, 60, source="duyet:blog", seed=3)


@pytest.fixture(scope="module")
def moved(labels, champion, rehearsed):
    return own_model(labels, champion, rehearsed, jobs=1)


def log_odds(classifier, examples, head: Head = Head.SPAM):
    return classifier.log_odds([Texts(e.text) for e in examples])[:, HEADS.index(head)]


def test_learns_the_spam_of_the_site(moved, champion):
    unseen = made(HERE, 100, source="duyet:blog", seed=4)
    spam = np.array([e.label.positive for e in unseen])

    before, after = (log_odds(c, unseen) for c in (champion, moved.final))

    assert after[spam].mean() - after[~spam].mean() > before[spam].mean() - before[~spam].mean() + 1


def test_moves_what_it_rehearses_little(moved, champion, labels, rehearsed):
    freely = own_model(labels, champion, rehearsed, replace(OWN, hold=1e-6), jobs=1)
    elsewhere = made(KNOWN, 100, source="elsewhere", seed=5)

    held, free = (
        np.abs(log_odds(m.final, elsewhere) - log_odds(champion, elsewhere)).max()
        for m in (moved, freely)
    )

    assert held < 0.5 < free


def test_a_head_without_labels_is_the_champion_s(moved, champion):
    toxicity = HEADS.index(Head.TOXICITY)

    assert moved.heads == (Head.SPAM,)
    assert moved.final.table[:, toxicity].tobytes() == champion.table[:, toxicity].tobytes()
    assert moved.final.bias[toxicity] == champion.bias[toxicity]


def test_has_the_same_bytes_whatever_the_jobs(moved, labels, champion, rehearsed):
    again = own_model(labels, champion, rehearsed, jobs=2)

    assert again.final.table.tobytes() == moved.final.table.tobytes()
    assert again.final.bias.tobytes() == moved.final.bias.tobytes()
    assert again.final.promise == moved.final.promise


def test_its_fits_know_until_when_people_spoke(moved, labels, champion, rehearsed):
    last = "2026-03-09T23:30:00-02:00"
    times = [last, *("2026-03-10T01:00:00Z", "of no time", "") * 20]
    said = [
        replace(label, provenance=replace(label.provenance, at=at))
        for label, at in zip(labels, times, strict=False)
    ]

    later = own_model(said, champion, rehearsed, jobs=1)

    until = {fit.learnt_until for fit in (later.final, *later.classifiers)}
    assert until == {datetime(2026, 3, 10, 1, 30, tzinfo=UTC)}
    assert moved.final.learnt_until is None  # nobody knows when those labels were given


def test_each_fold_s_classifier_has_not_seen_its_fold(moved, labels, champion, rehearsed):
    fold = moved.fold_of[0]
    others = [e for e, f in zip(labels, moved.fold_of, strict=True) if f != fold]
    own_fold = [e for e, f in zip(labels, moved.fold_of, strict=True) if f == fold]
    flipped = [
        replace(e, label=Label(e.label.head, not e.label.positive)) if f == fold else e
        for e, f in zip(labels, moved.fold_of, strict=True)
    ]

    otherwise = own_model(flipped, champion, rehearsed, jobs=1)

    assert own_fold
    assert others
    assert otherwise.classifiers[fold].table.tobytes() == moved.classifiers[fold].table.tobytes()
    assert otherwise.final.table.tobytes() != moved.final.table.tobytes()


def test_what_weighs_nothing_moves_nothing(moved, labels, champion, rehearsed):
    ignored = [
        replace(e, weight=0.0, text=e.text[::-1])
        for e in made(HERE, 20, source="duyet:blog", seed=9)
    ]

    found = own_model([*labels, *ignored], champion, rehearsed, jobs=1)

    assert found.final.table.tobytes() == moved.final.table.tobytes()


def test_thresholds_are_never_below_the_champion_s_by_what_genuine_comments_were_moved(
    moved, champion
):
    before, after = champion.promise.languages[ANY], moved.final.promise.languages[ANY]
    furthest = moved.held_out.moves.by[HEADS.index(Head.SPAM)].max()

    raised = [
        np.log(a / (1 - a)) - np.log(b / (1 - b))
        for a, b in zip(after.spam_reject_at, before.spam_reject_at, strict=True)
        if a < OFF
    ]

    assert raised
    assert furthest > 0
    assert max(raised) <= furthest + 1e-9


def test_says_what_is_lacking(champion, rehearsed):
    few = made(HERE, 6, source="duyet:blog", seed=3)

    with pytest.raises(NotEnough, match=r"3 spam, 3 ham.*at least 5"):
        own_model(few, champion, rehearsed, jobs=1)


def test_a_guestbook_is_held_out_text_by_text():
    book = [replace(e, group="/") for e in made(HERE, 30, source="duyet:blog", seed=3)]
    articles = made(HERE, 30, source="duyet:blog", seed=3)

    assert len(set(units_of(book).tolist())) > 20
    assert set(units_of(articles).tolist()) == {f"duyet:blog/g{i}" for i in range(10)}


def test_the_project_s_texts_come_with_it_by_topic():
    texts = own_texts()

    assert len(texts) > 8_000
    assert {e.label.word for e in texts} == {"spam", "ham", "toxic", "clean"}
    assert len({topic_of(e) for e in texts}) > 50


def test_texts_that_back_an_audit_are_drawn_evenly_of_those_that_no_label_is_about():
    texts = own_texts()
    labelled = [replace(example, text=example.text.upper()) for example in texts[:100]]

    backing = supporting(labelled, texts)

    said = {letters_as_read(example.text) for example in labelled}
    assert SUPPORTING <= len(backing) < 1.3 * SUPPORTING
    assert not said & {letters_as_read(example.text) for example in backing}
    assert len({example.source for example in backing}) == len({e.source for e in texts})
