from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.facts import gather
from model.memory import ALIKE, COPIES, LEAST_RUNS, READ, Memory, TwinIndex, sketch_of
from model.outcome import Outcome
from model.submission import Author, Submission

SPAM = (
    "Our loans need no papers and no waiting: send your name and the sum to the agent below, "
    "and the money is with you this evening, at two percent a month."
)
HAM = (
    "I rebuilt the pump last winter with the gasket from the second photo, and it has held "
    "since. Mind the torque on the two upper bolts, they strip before you feel it."
)
PADDING = (
    "What a thoughtful article, I read it twice and sent it to my sister. The part about the "
    "garden made me smile, and the pictures are lovely. I hope you write more of these, since "
    "so few people take the time. Greetings from the coast, where it has rained all week. "
)


def a_sketch(text, *, url="", name=""):
    return sketch_of(gather(Submission(content=text, author=Author(name=name, url=url))))


def remembered(*decided):
    memory = Memory()
    for n, (text, positive) in enumerate(decided):
        memory.remember(str(n), a_sketch(text), positive=positive)
    return memory


def test_a_sketch_counts_the_distinct_runs_of_letters_as_they_read():
    letters = "abcdefghij" * 3  # ten runs of five, again and again

    assert a_sketch(letters).runs == 10
    assert a_sketch(" ".join(letters).upper()).runs == 10
    assert [a_sketch("xin chào"[:size]).runs for size in (0, 4, 6, 8)] == [0, 0, 1, 3]


# ------------------------------------------------------------------ twins


@pytest.mark.parametrize(
    "disguised",
    [
        SPAM,
        SPAM.upper(),
        SPAM.replace("two percent", "three percent"),
        SPAM.replace("o", "\u200bo"),
        SPAM.replace("a", "а"),  # Cyrillic
        SPAM.replace(" ", "  ").replace(",", " , "),
        f"Hello! {SPAM} Write soon.",
    ],
    ids=["same", "capitals", "a word changed", "invisible", "look-alikes", "blanks", "greeting"],
)
def test_a_twin_of_decided_spam_is_rejected(disguised):
    memory = remembered((SPAM, True), (HAM, False))

    twin = memory.twin(a_sketch(disguised))

    assert twin.id == "0"
    assert (twin.spam, twin.ham) == (1, 0)
    assert twin.outcome is Outcome.REJECT


def test_a_twin_of_accepted_ham_leans_to_acceptance():
    memory = remembered((SPAM, True), (HAM, False))

    twin = memory.twin(a_sketch(HAM.replace("last winter", "this winter")))

    assert twin.id == "1"
    assert twin.outcome is Outcome.ACCEPT


@pytest.mark.parametrize("with_link", ["content", "author"])
def test_a_copy_of_accepted_ham_that_brings_a_link_is_not_trusted(with_link):
    memory = remembered((HAM, False))

    if with_link == "content":
        twin = memory.twin(a_sketch(f"{HAM} www.cheap-pumps.com"))
    else:
        twin = memory.twin(a_sketch(HAM, url="http://cheap-pumps.com"))

    assert twin.outcome is None


def test_spam_between_good_words_goes_to_a_person():
    memory = remembered((SPAM, True))

    twin = memory.twin(a_sketch(PADDING + SPAM + PADDING))

    assert twin.contained > 0.7
    assert twin.outcome is Outcome.QUEUE


def test_spam_between_good_words_is_rejected_with_its_link():
    memory = remembered((f"{SPAM} http://fast-loans.biz", True))

    twin = memory.twin(a_sketch(f"{PADDING}{SPAM} http://fast-loans.biz"))

    assert twin.outcome is Outcome.REJECT


def test_the_good_words_of_padded_spam_are_no_twin_of_it():
    memory = remembered((PADDING + SPAM, True))

    assert memory.twin(a_sketch(HAM)) is None


def test_praise_that_was_spam_for_its_link_is_not_rejected_without_it():
    memory = Memory()
    memory.remember("1", a_sketch(PADDING, url="http://cheap-pumps.com"), positive=True)

    linked = memory.twin(a_sketch(PADDING, url="http://www.cheap-pumps.com/sale"))
    elsewhere = memory.twin(a_sketch(PADDING, url="http://pump-outlet.net"))
    plain = memory.twin(a_sketch(PADDING))

    assert linked.outcome is Outcome.REJECT
    assert elsewhere.outcome is Outcome.REJECT
    assert plain.outcome is Outcome.QUEUE


def test_decisions_that_disagree_settle_nothing():
    memory = remembered((SPAM, True), (SPAM + "!", False))

    assert memory.twin(a_sketch(SPAM)).outcome is None


@pytest.mark.parametrize(
    "short", ["Hay quá", "Great post", "Great post, thank you!", "👍👍👍", "", "Cảm ơn bạn nhiều"]
)
@pytest.mark.parametrize("positive", [True, False])
def test_what_many_people_write_never_forms_a_campaign(short, positive):
    memory = Memory()

    assert memory.remember("1", a_sketch(short), positive=positive) == ""
    assert memory.remembered == 0
    assert memory.twin(a_sketch(short)) is None


def test_one_decision_on_a_short_text_sends_its_twins_to_a_person_and_three_settle_it():
    short = "Write to agent Melvin for a loan today"
    memory = Memory()

    memory.remember("1", a_sketch(short), positive=True)
    after_one = memory.twin(a_sketch(short)).outcome
    for n in "23":
        memory.remember(n, a_sketch(short), positive=True)

    assert after_one is Outcome.QUEUE
    assert memory.twin(a_sketch(short)).outcome is Outcome.REJECT


# ------------------------------------------------------------------ campaigns


def test_twins_are_one_campaign_by_the_id_of_the_first():
    memory = Memory()

    keys = [
        memory.remember(id, a_sketch(text), positive=True)
        for id, text in (("a", SPAM), ("b", HAM), ("c", SPAM + " Now."), ("d", "Hi"))
    ]

    assert keys == ["a", "b", "a", ""]


def test_a_comment_decided_again_counts_as_it_was_decided_last():
    memory = remembered((SPAM, True))

    memory.remember("0", a_sketch(SPAM), positive=False)

    twin = memory.twin(a_sketch(SPAM))
    assert (twin.spam, twin.ham) == (0, 1)
    assert twin.outcome is Outcome.ACCEPT
    assert memory.remembered == 1


# ------------------------------------------------------------------ bounds


def words(random, count=30):
    return " ".join(
        "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(3, 9)))
        for _ in range(count)
    )


def test_the_oldest_are_forgotten():
    random = Random(1)
    texts = [words(random) for _ in range(50)]
    memory = Memory(size=20)
    for n, text in enumerate(texts):
        memory.remember(str(n), a_sketch(text), positive=True)

    assert 10 <= memory.remembered <= 20
    assert memory.twin(a_sketch(texts[0])) is None
    assert memory.twin(a_sketch(texts[-1])).id == "49"


def test_deciding_one_comment_over_and_over_does_not_grow_the_memory():
    memory = Memory(size=20)
    sketch = a_sketch(SPAM)

    for n in range(200):
        memory.remember("1", sketch, positive=n % 2 == 0)

    assert memory.remembered == 1
    assert sum((memory.twin(sketch).spam, memory.twin(sketch).ham)) == 1


def test_a_thousand_copies_drive_out_nothing():
    memory = Memory(size=100)
    memory.remember("old", a_sketch(HAM), positive=False)
    sketch = a_sketch(SPAM)

    keys = {memory.remember(str(n), sketch, positive=True) for n in range(1000)}

    assert keys == {"0"}
    assert memory.remembered == 1 + COPIES
    assert memory.twin(a_sketch(HAM)).id == "old"
    assert memory.twin(sketch).spam == COPIES


def test_a_size_below_two_is_refused():
    with pytest.raises(ValueError, match="size"):
        Memory(size=1)


def test_unrelated_comments_are_no_twins():
    random = Random(2)
    memory = Memory()
    for n in range(300):
        memory.remember(str(n), a_sketch(words(random)), positive=True)

    assert not any(memory.twin(a_sketch(words(random))) for _ in range(100))


def test_of_many_texts_the_twins_are_found_and_next_to_nothing_else():
    random = Random(5)
    texts = [words(random) for _ in range(300)]
    sketches = [a_sketch(text) for text in texts]
    twins = [a_sketch(text.rsplit(" ", 2)[0]) for text in texts]
    index = TwinIndex()
    for n, sketch in enumerate(sketches):
        index.put(str(n), sketch)
    index.put("says too little", a_sketch("ok"))

    found = [list(index.like(twin)) for twin in twins]

    assert index.size == 300
    assert all(a.likeness(b) >= ALIKE for a, b in zip(sketches, twins, strict=True))
    assert all(str(n) in ids for n, ids in enumerate(found))
    assert sum(map(len, found)) < 300 + 300 * 300 / 1_000
    assert not list(index.like(a_sketch("ok")))


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_remembered_and_looked_up(one, other):
    memory = Memory(size=4)

    memory.remember("1", a_sketch(one, url=other, name=other), positive=True)
    twin = memory.twin(a_sketch(one, url=other))

    says_enough = a_sketch(one).runs >= LEAST_RUNS
    assert (twin is not None) == says_enough


def test_the_same_decisions_make_the_same_memory():
    decided = [(SPAM, True), (HAM, False), (SPAM.lower(), True), (HAM + PADDING, False)]

    one, other = remembered(*decided), remembered(*decided)

    probes = [SPAM, HAM, PADDING + SPAM]
    assert [one.twin(a_sketch(p)) for p in probes] == [other.twin(a_sketch(p)) for p in probes]


def test_of_a_long_comment_only_the_beginning_is_read():
    random = Random(3)
    long = words(random, 20_000)

    assert a_sketch(long).runs <= READ
    assert a_sketch(long).likeness(a_sketch(long + " and more")) == 1


def test_a_sketch_shows_no_text_and_no_host():
    sketch = a_sketch(f"{SPAM} http://fast-loans.biz", url="http://fast-loans.biz")

    assert "loans" not in repr(sketch)
