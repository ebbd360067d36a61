"""What holds of labels that disagree, and how much anybody may weigh."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decision import Label, LabelledExample, Provenance, WordOf
from model.outcome import Head
from training.resolving import Bounds, Clash, Resolved, resolved, settled

START = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = "Vay tiền nhanh trong ngày, không cần thế chấp, lãi suất thấp, giải ngân tận nhà, gọi ngay"
OTHER = "Bài viết phân tích rất kỹ, mình đọc hai lần và đồng ý với phần lớn những gì tác giả nêu"
LABELS = {label.word: label for head in Head for label in (Label(head, True), Label(head, False))}


def said(
    word: str,
    by: str = "ann",
    *,
    kind: WordOf = WordOf.DECISION,
    day: float | None = 0,
    id: str = "1",
    text: str = TEXT,
    chance: float | None = None,
    **more: object,
) -> LabelledExample:
    at = "" if day is None else (START + timedelta(days=day)).isoformat()
    label = LABELS[word]
    fields: dict[str, Any] = {"source": "duyet:blog", "extra": {"comment_id": id}} | more
    return LabelledExample(
        f"{id}:{label.head}", text, label, provenance=Provenance(kind, by, at, chance), **fields
    )


def held(found: Resolved) -> list[tuple[str, str]]:
    return [(e.label.word, e.provenance.who) for e in found.examples]


# ------------------------------------------------------------------ several words on one comment


@pytest.mark.parametrize(
    ("words", "holds", "clash"),
    [
        ([said("spam"), said("ham", "bob", day=1)], ("ham", "bob"), Clash.AGAIN),
        (
            [said("ham"), said("spam", "blog", kind=WordOf.REPORT, day=9)],
            ("ham", "ann"),
            Clash.RANK,
        ),
        (
            [said("spam", "import wxr", kind=WordOf.IMPORT, day=9), said("ham")],
            ("ham", "ann"),
            Clash.RANK,
        ),
        (
            [said("spam", "a.csv", kind=WordOf.FILE, day=None), said("ham", kind=WordOf.REPORT)],
            ("ham", "ann"),
            Clash.RANK,
        ),
        (
            [said("spam", f"{n}.csv", kind=WordOf.FILE, day=None) for n in range(2)]
            + [said("ham", "c.csv", kind=WordOf.FILE, day=None)],
            None,
            Clash.EVEN,
        ),
    ],
)
def test_of_one_comment_one_word_holds(words, holds, clash):
    for order in (words, words[::-1]):
        found = resolved(order)

        assert held(found) == ([holds] if holds else [])
        assert [conflict.clash for conflict in found.conflicts] == [clash]
        assert sum(found.left_out.values()) == len(words) - len(found.examples)


def test_a_later_decision_takes_back_all_that_the_earlier_one_taught():
    accepted = [said("ham"), said("clean")]

    found = resolved([*accepted, said("spam", "bob", day=1)])

    assert held(found) == [("spam", "bob")]


def test_two_files_may_each_teach_one_head_of_a_comment():
    words = [said(word, f"{word}.csv", kind=WordOf.FILE, day=None) for word in ("spam", "toxic")]

    assert len(resolved(words).examples) == 2


def test_rows_without_an_id_are_not_one_comment():
    words = [said("spam", text=text, extra={}, day=0) for text in (TEXT, OTHER)]

    assert len(resolved([replace(word, id="") for word in words]).examples) == 2


# ------------------------------------------------------------------ near-duplicates


def copies(word: str, number: int, by: str = "ann", **more: object) -> list[LabelledExample]:
    """The same with another end."""
    return [
        said(word, by, id=f"{by}{word}{n}", text=f"{TEXT} {chr(97 + n % 26)}", **more)  # type: ignore[arg-type]
        for n in range(number)
    ]


def test_most_accounts_settle_what_near_duplicates_are():
    words = copies("ham", 5, "mal") + copies("spam", 1, "ann") + copies("spam", 1, "bob")

    found = resolved(words)

    assert {e.label.word for e in found.examples} == {"spam"}
    assert [c.clash for c in found.conflicts] == [Clash.COPIES]


def test_the_later_of_two_accounts_settles_near_duplicates_and_nobody_when_neither_is():
    later = copies("ham", 3, "ann") + copies("spam", 1, "bob", day=2)
    never = copies("ham", 3, "a.csv", kind=WordOf.FILE, day=None)
    never += copies("spam", 1, "b.csv", kind=WordOf.FILE, day=None)

    assert {e.label.word for e in resolved(later).examples} == {"spam"}
    assert resolved(never).examples == ()


def test_praise_with_a_shops_link_is_not_what_praise_is():
    words = [
        said("spam", text=f"{OTHER} nhé", id="1", author_url="https://shop-00.example/"),
        said("ham", "bob", text=OTHER, id="2"),
    ]

    found = resolved(words)

    assert held(found) == [("spam", "ann"), ("ham", "bob")]
    assert not found.conflicts


@pytest.mark.parametrize("number", [2, 9, 200])
def test_a_campaign_weighs_less_than_two(number):
    found = resolved([*copies("spam", number, chance=0.5), said("ham", text=OTHER, id="h")])

    spam = [w for e, w in zip(found.examples, found.weights, strict=True) if e.label.positive]
    assert sum(spam) == pytest.approx(2.0 * (2 - 1 / number))  # each had the weight 2
    assert len(spam) <= 8
    assert [len(c.ids) for c in found.campaigns] == [number]


def test_spam_that_holds_other_spam_whole_is_of_its_campaign_and_a_quote_is_not():
    padding = "người dân trong xóm kể lại rằng hôm ấy trời mưa rất to và không ai ra ngoài"
    padded = said("spam", "bob", id="p", text=f"{TEXT} {padding}")
    quoted = said("ham", "bob", id="q", text=f"{TEXT} {padding}, sao lại đăng thứ này?")

    assert [len(c.ids) for c in resolved([said("spam"), padded]).campaigns] == [2]
    assert resolved([said("spam"), quoted]).campaigns == ()


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize(
    ("chance", "days", "weight"),
    [(None, 0, 1), (1.0, 0, 1), (0.5, 0, 2), (0.001, 0, 5), (None, 730, 0.5), (None, 9_000, 0.25)],
)
def test_a_label_weighs_by_the_chance_of_being_asked_and_by_its_age(chance, days, weight):
    newest = said("ham", id="2", text=OTHER)
    old = said("spam", day=-days, chance=chance)

    found = resolved([old, newest])

    assert found.weights == pytest.approx((weight, 1.0))


def test_a_label_from_a_future_makes_no_other_one_old():
    comments = [said("ham", id=str(n), text=words_of(n), day=n) for n in range(9)]
    ahead = said("spam", id="ahead", text=words_of(99))
    ahead = replace(ahead, provenance=replace(ahead.provenance, at="9999-12-31T00:00:00+00:00"))

    alone, together = resolved(comments).weights, resolved([*comments, ahead]).weights

    assert together == (*alone, 1.0)


def test_an_export_teaches_what_its_installation_s_labels_do():
    files = [
        said(
            word, kind=WordOf.FILE, id=f"f{n}", text=words_of(n), day=None, source="blog", extra={}
        )
        for n, word in enumerate(("ham", "spam"))
    ]
    people = [said("spam", id=str(n), text=words_of(50 + n), chance=0.5) for n in range(3)]
    turned = [said("ham", "bob", id="0", text=words_of(50), day=1)]
    clash = [said(word, id="x", text=OTHER) for word in ("ham", "spam")]
    left_out: Counter[str] = Counter()

    found = list(settled([people[0], *files, *people[1:], *turned, *clash], left_out))

    assert found[:2] == files
    own = resolved([*people, *turned, *clash])
    assert [(e.id, e.label, e.weight) for e in found[2:]] == [
        (e.id, e.label, weight) for e, weight in zip(own.examples, own.weights, strict=True)
    ]
    assert {e.provenance.chance for e in found} == {None}  # it is in the weight
    assert [e.label.positive for e in found[2:]].count(True) == 2  # of the first, bob's word holds
    assert left_out == own.left_out
    assert sum(left_out.values()) == 3


def test_two_files_that_count_from_one_are_not_about_the_same_comments():
    one, other = (
        [
            said(word, kind=WordOf.FILE, id=str(n), text=words_of(seed + n), source="", extra={})
            for n in range(3)
        ]
        for word, seed in (("ham", 0), ("spam", 50))
    )
    again = [replace(label, label=LABELS["spam"]) for label in one[:1]]

    found = resolved([*one, *other, *again])

    assert len(found.examples) == 5  # nobody knows of the first what it is
    assert len(found.conflicts) == 1


def words_of(seed: int, number: int = 12) -> str:
    """A text that no other seed's is like."""
    draw = random.Random(seed)
    return " ".join(
        "".join(draw.choices("abcdefghiklmnopqrstuvxy", k=draw.randint(2, 7)))
        for _ in range(number)
    )


def by_accounts(numbers: dict[str, int], word: str = "spam") -> list[LabelledExample]:
    return [
        said(word, who, id=f"{who}{n}", text=words_of(hash((who, n)) % 2**32))
        for who, number in numbers.items()
        for n in range(number)
    ]


def test_no_account_among_several_has_more_than_its_share():
    base = [
        said("spam", "base.jsonl", kind=WordOf.FILE, day=None, id=f"f{n}", text=words_of(n))
        for n in range(100)
    ]

    found = resolved(base + by_accounts({"ann": 50, "bob": 50, "cem": 50, "mal": 400}))

    of = {share.who: share for share in found.shares}
    assert of["mal"].labels == 400
    assert of["mal"].before > 0.6
    assert of["mal"].after == pytest.approx(1.5 / 4 * 550 / 650, rel=1e-6)
    assert (
        sum(
            w
            for e, w in zip(found.examples, found.weights, strict=True)
            if e.provenance.who == "ann"
        )
        == 50
    )


def test_a_moderator_alone_or_with_beginners_is_not_bounded():
    found = resolved(by_accounts({"ann": 300, "bob": 10, "cem": 10}))

    assert found.weights == (1.0,) * 320


def test_one_author_has_no_more_than_a_share_of_a_side():
    by_one = [
        replace(one, author="Vinh", provenance=replace(one.provenance, who="ann"))
        for one in by_accounts({"v": 100}, "ham")
    ]
    others = [
        replace(one, author=f"Reader {n}") for n, one in enumerate(by_accounts({"o": 60}, "ham"))
    ]

    found = resolved(by_one + others)

    vinh = sum(w for e, w in zip(found.examples, found.weights, strict=True) if e.author == "Vinh")
    assert vinh / sum(found.weights) == pytest.approx(0.05, rel=1e-3)


def test_spam_that_links_to_one_domain_has_no_more_than_a_share():
    linked = [
        replace(one, author_url=f"https://s{n}.shop-00.example/")
        for n, one in enumerate(by_accounts({"a": 100}))
    ]

    found = resolved(linked + by_accounts({"o": 60}))

    weight = sum(w for e, w in zip(found.examples, found.weights, strict=True) if e.author_url)
    assert weight / sum(found.weights) == pytest.approx(0.1, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["spam", "ham", "toxic", "clean"]),
            st.sampled_from(["ann", "bob", "cem", "mal"]),
            st.sampled_from(list(WordOf)),
            st.sampled_from([None, 0, 1, -500]),
            st.integers(0, 6),
            st.sampled_from([None, 1.0, 0.02]),
        ),
        max_size=40,
    ),
    st.randoms(use_true_random=False),
)
def test_what_comes_first_decides_nothing_and_nothing_is_lost_count_of(drawn, shuffled):
    words = [
        said(word, who, kind=kind, day=day, id=str(n), text=words_of(n % 5), chance=chance)
        for word, who, kind, day, n, chance in drawn
    ]
    again = list(words)
    shuffled.shuffle(again)

    one, other = resolved(words, Bounds(established=2)), resolved(again, Bounds(established=2))

    key = [(e.id, e.label.word) for e in one.examples]
    assert sorted(zip(key, one.weights, strict=True)) == sorted(
        zip([(e.id, e.label.word) for e in other.examples], other.weights, strict=True)
    )
    assert len(one.examples) + sum(one.left_out.values()) == len(words)
    assert all(weight > 0 for weight in one.weights)
    assert len(set(key)) == len(key)
