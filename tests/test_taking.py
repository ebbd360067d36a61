"""Which labels a training takes where memory does not hold all of them."""

import random
from collections import Counter

import pytest

from model.decision import Label, LabelledExample, Provenance, WordOf
from model.outcome import Head
from training.memory import LEAST_MEMORY, jobs_to_move, room_for_labels, size_of
from training.taking import taken

LABELS = {
    label.word: label for label in (Label(head, side) for head in Head for side in (True, False))
}


def of(comment: int, kind: WordOf, *words: str) -> list[LabelledExample]:
    return [
        LabelledExample(
            id=f"{comment} {word}",
            text=f"said {comment:03}",
            label=LABELS[word],
            source="duyet:blog",
            provenance=Provenance(kind, "an"),
            extra={"comment_id": str(comment)},
        )
        for word in words
    ]


EACH = size_of(of(100, WordOf.IMPORT, "ham")[0])
DECIDED = [e for n in range(20) for e in of(n, WordOf.DECISION, "ham", "clean")]
REPORTED = [e for n in range(20, 30) for e in of(n, WordOf.REPORT, "spam")]
IMPORTED = [e for n in range(30, 230) for e in of(n, WordOf.IMPORT, "ham", "clean")]


def comments(examples: list[LabelledExample]) -> Counter[object]:
    return Counter(example.extra["comment_id"] for example in examples)


def test_all_are_taken_where_there_is_room() -> None:
    assert taken(iter(DECIDED), 40 * EACH, seed=7) == (DECIDED, 0)
    assert taken([], 5 * EACH, seed=7) == ([], 0)


def test_what_people_here_said_comes_before_what_was_imported() -> None:
    found, left = taken([*IMPORTED, *REPORTED, *DECIDED], 100 * EACH, seed=7)

    assert (len(found), left) == (100, 350)
    assert found[-50:] == [*REPORTED, *DECIDED]
    assert all(example in IMPORTED for example in found[:50])
    assert found == sorted(found, key=[*IMPORTED, *REPORTED, *DECIDED].index)


def test_a_comment_s_labels_are_taken_together() -> None:
    found, left = taken(IMPORTED, 31 * EACH, seed=7)

    assert (len(found), left) == (30, 370)
    assert set(comments(found).values()) == {2}


def test_the_draw_goes_by_the_comment_and_favours_none() -> None:
    shuffled = [
        e
        for n in random.Random(1).sample(range(30, 230), 200)
        for e in IMPORTED
        if e.extra["comment_id"] == str(n)
    ]
    first, _ = taken(IMPORTED, 100 * EACH, seed=7)
    again, _ = taken(shuffled, 100 * EACH, seed=7)
    another, _ = taken(IMPORTED, 100 * EACH, seed=8)

    assert comments(first) == comments(again) != comments(another)
    more, _ = taken(IMPORTED, 200 * EACH, seed=7)
    assert comments(first) <= comments(more)
    drawn = Counter(
        n for seed in range(200) for n in comments(taken(IMPORTED, 100 * EACH, seed=seed)[0])
    )
    assert 25 < min(drawn.values()) <= max(drawn.values()) < 80  # 50 each, in the middle


@pytest.mark.parametrize("memory", [LEAST_MEMORY, 2 * 10**9, 10**11])
def test_what_is_taken_and_who_works_goes_by_the_memory(memory: int) -> None:
    jobs = jobs_to_move(64, memory)

    assert 1 <= jobs <= 64
    assert jobs_to_move(1, memory) == 1
    assert room_for_labels(1, memory) >= room_for_labels(jobs, memory) > 20_000 * EACH
