"""Gathering and recording: the hot path."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from model.decision import RejectReason
from model.outcome import Outcome
from model.policy import Policy
from model.submission import Article, FormFacts, History, Submission
from service.storage import (
    Checked,
    IdempotencyRace,
    Site,
    Store,
    StoreError,
    TablesChanged,
    Unstorable,
    new_id,
)
from service.storage.checks import COUNT_LIMIT
from service.storage.engine import transaction
from service.storage.tables import verdicts
from tests.storage.cases import (
    SUBMISSION,
    VERDICT,
    Clock,
    accept,
    asked,
    found,
    many,
    put,
    record,
    reject,
    submission,
    verdict,
)


def test_a_recorded_comment_comes_back_whole_but_for_address_and_ip(
    store: Store, site: Site, clock: Clock
) -> None:
    (stored,) = record(store, asked(site, clock()))

    bare = replace(SUBMISSION.author, email="", ip="")
    assert stored.submission == replace(SUBMISSION, author=bare)
    assert (stored.email_masked, stored.ip_masked) == ("N•••@mail.example", "203.0.113.0/24")
    assert (stored.verdict, stored.history, stored.received_at) == (VERDICT, History(), clock())
    assert (stored.state, stored.decision, stored.waiting_since) == (Outcome.QUEUE, None, clock())


def test_a_comment_with_nothing_but_text_comes_back(store: Store, site: Site, clock: Clock) -> None:
    bare = type(SUBMISSION)(content="Xin chào")
    unscored = replace(VERDICT, outcome=Outcome.QUEUE, scores=None, reasons=(), hits=(), spans=())

    (stored,) = record(store, asked(site, clock(), bare), by=unscored)

    assert stored.submission == bare
    assert stored.verdict == unscored
    assert (stored.email_masked, stored.ip_masked) == ("", "")


def test_only_that_the_honeypot_was_filled_is_kept(store: Store, site: Site, clock: Clock) -> None:
    trapped = replace(SUBMISSION, form=FormFacts("secret words", 0.5))

    (stored,) = record(store, asked(site, clock(), trapped))

    assert stored.submission.form == FormFacts("•", 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "\u202e\u200bẩn",
        "Z̸̢̛͇a̵l̶g̷o̸" * 50,
        "😀" * 5000,
        "x" * 65_536,
        "'; DROP TABLE sites; --",
        "%s %(id)s :id",
    ],
)
def test_any_text_comes_back_as_it_was(store: Store, site: Site, clock: Clock, text: str) -> None:
    (stored,) = record(store, asked(site, clock(), submission(text)))

    assert stored.submission.content == text


@pytest.mark.parametrize(
    "bad",
    [
        submission("a\0"),
        submission(name="Ẩn\0"),
        submission("\ud800"),
        submission(email="\udfff@mail.example"),
        replace(SUBMISSION, article=Article(published_at=datetime(2026, 1, 1))),
    ],
    ids=["NUL", "NUL in a name", "lone surrogate", "in an address", "naive time"],
)
def test_what_the_databases_cannot_keep_is_refused_whole(
    store: Store, site: Site, clock: Clock, bad: Submission
) -> None:
    batch = [asked(site, clock()), asked(site, clock(), bad)]
    known = store.gather(batch)

    with pytest.raises(Unstorable) as refusal:
        store.record([Checked(a, k, VERDICT, 1.0) for a, k in zip(batch, known, strict=True)])

    assert refusal.value.index == 1
    assert store.comment(None, batch[0].comment_id) is None
    assert store.queue_size(None) == 0


def test_a_batch_that_fails_half_way_leaves_nothing(store: Store, site: Site, clock: Clock) -> None:
    (earlier,) = record(store, asked(site, clock()))
    fresh = asked(site, clock())
    batch = [fresh, replace(asked(site, clock()), comment_id=earlier.id)]
    known = store.gather(batch)

    with pytest.raises(StoreError) as refusal:
        store.record([Checked(a, k, VERDICT, 1.0) for a, k in zip(batch, known, strict=True)])

    assert "mail.example" not in f"{refusal.value!r} {refusal.value.__context__!r}"
    assert store.comment(None, fresh.comment_id) is None
    assert store.queue_size(None) == 1


def test_an_empty_batch_is_nothing(store: Store) -> None:
    store.record([])

    assert store.gather([]) == []


# ------------------------------------------------------------------ history


def test_history_counts_author_ip_and_text(store: Store, site: Site, clock: Clock) -> None:
    one, two, _ = (
        record(store, asked(site, clock(), submission(text)))[0] for text in ("a", "b", "b")
    )
    store.decide(None, one.id, accept(clock()))
    store.decide(None, two.id, reject(clock()))
    clock.advance(seconds=30)

    (known,) = store.gather([asked(site, clock(), submission("b"))])

    assert known.history == History(
        author_seen=3,
        author_accepted=1,
        author_rejected=1,
        ip_rejected=1,
        text_seen=2,
        text_rejected=1,
        seconds_since_author=30.0,
        same_article_twin=True,
    )


def test_history_is_stored_as_it_was_at_the_time(store: Store, site: Site, clock: Clock) -> None:
    record(store, asked(site, clock()))
    clock.advance(seconds=5)
    (second,) = record(store, asked(site, clock()))
    clock.advance(seconds=5)
    record(store, asked(site, clock()))

    stored = found(store, second.id)

    assert (stored.history.author_seen, stored.history.seconds_since_author) == (1, 5.0)


def test_an_undone_decision_does_not_count(store: Store, site: Site, clock: Clock) -> None:
    (one,) = record(store, asked(site, clock()))
    store.decide(None, one.id, reject(clock()))
    store.undo(None, one.id, moderator="bob")

    (known,) = store.gather([asked(site, clock())])

    assert (known.history.author_rejected, known.history.ip_rejected) == (0, 0)


def test_a_machines_verdict_does_not_count_as_a_persons(
    store: Store, site: Site, clock: Clock
) -> None:
    record(store, asked(site, clock()), by=verdict(Outcome.REJECT))

    (known,) = store.gather([asked(site, clock())])

    assert (known.history.author_seen, known.history.author_rejected) == (1, 0)


def test_the_author_is_known_however_the_address_is_written(
    store: Store, site: Site, clock: Clock
) -> None:
    record(store, asked(site, clock(), submission(email="An@Bücher.example")))

    (known,) = store.gather(
        [asked(site, clock(), submission("x", email=" an@xn--bcher-kva.EXAMPLE"))]
    )

    assert known.history.author_seen == 1


def test_sites_do_not_know_of_each_other(store: Store, site: Site, clock: Clock) -> None:
    other, _ = store.add_site("other", Policy())
    (one,) = record(store, asked(site, clock()))
    store.decide(None, one.id, reject(clock()))

    (known,) = store.gather([asked(other, clock())])

    assert known.history == History()


def test_nothing_matches_nothing(store: Store, site: Site, clock: Clock) -> None:
    nobody = type(SUBMISSION)(content="")
    record(store, asked(site, clock(), nobody))

    (known,) = store.gather([asked(site, clock(), nobody)])

    assert known.history == History()


def test_a_twin_is_the_same_text_by_the_same_author_under_the_same_article(
    store: Store, site: Site, clock: Clock
) -> None:
    record(store, asked(site, clock()))
    same = SUBMISSION
    elsewhere = replace(SUBMISSION, permalink="https://blog.example/other")
    by_another = submission(email="other@mail.example")

    known = store.gather([asked(site, clock(), s) for s in (elsewhere, by_another, same)])

    assert [k.history.same_article_twin for k in known] == [False, False, True]


def test_earlier_items_of_a_batch_count_for_later_ones(
    store: Store, site: Site, clock: Clock
) -> None:
    record(store, asked(site, clock()))
    clock.advance(seconds=60)
    later = clock() + timedelta(seconds=2)

    known = store.gather([asked(site, clock()), asked(site, later), asked(site, later)])

    histories = [k.history for k in known]
    assert [h.author_seen for h in histories] == [1, 2, 3]
    assert [h.text_seen for h in histories] == [1, 2, 3]
    assert [h.seconds_since_author for h in histories] == [60.0, 2.0, 0.0]


def test_a_batch_tells_a_twin_within_it(store: Store, site: Site, clock: Clock) -> None:
    known = store.gather([asked(site, clock()), asked(site, clock())])

    assert [k.history.same_article_twin for k in known] == [False, True]


def test_a_clock_that_steps_back_gives_no_negative_age(
    store: Store, site: Site, clock: Clock
) -> None:
    record(store, asked(site, clock()))

    (known,) = store.gather([asked(site, clock() - timedelta(hours=1))])

    assert known.history.seconds_since_author == 0.0


def test_counts_stop_where_a_flood_would_cost(store: Store, site: Site, clock: Clock) -> None:
    put(store, *many(COUNT_LIMIT + 1, site, clock))

    (known,) = store.gather([asked(site, clock())])

    assert (known.history.author_seen, known.history.text_seen) == (COUNT_LIMIT, COUNT_LIMIT)


def test_a_batch_across_sites_is_answered_in_order(store: Store, site: Site, clock: Clock) -> None:
    other, _ = store.add_site("other", Policy())
    record(store, asked(site, clock()))

    known = store.gather([asked(s, clock()) for s in (other, site, other, site)])

    assert [k.history.author_seen for k in known] == [0, 1, 1, 2]


# ------------------------------------------------------------------ repeated requests


def test_a_comment_that_is_out_of_sight_makes_its_request_no_other_one(
    store: Store, site: Site, clock: Clock
) -> None:
    first = asked(site, clock(), idempotency_key="k")
    [comment_id] = put(store, first)
    with transaction(store._engine, writes=True, foreign_keys=False) as connection:
        connection.execute(verdicts.delete().where(verdicts.c.comment_id == comment_id))

    with pytest.raises(TablesChanged):
        store.gather([asked(site, clock(), idempotency_key="k")])


def test_the_same_request_again_is_a_replay(store: Store, site: Site, clock: Clock) -> None:
    (first,) = record(store, asked(site, clock(), idempotency_key="k"))

    (known,) = store.gather([asked(site, clock(), idempotency_key="k")])

    assert known.replay == first
    assert not known.conflict


@pytest.mark.parametrize(
    "other",
    [
        submission("other"),
        submission(email="other@mail.example"),
        submission(ip="203.0.113.78"),
        replace(SUBMISSION, permalink="https://blog.example/other"),
        replace(SUBMISSION, form=FormFacts("filled", 12.5)),
    ],
    ids=["content", "address", "IP", "permalink", "honeypot"],
)
def test_a_key_used_for_another_submission_is_a_conflict(
    store: Store, site: Site, clock: Clock, other: Submission
) -> None:
    record(store, asked(site, clock(), idempotency_key="k"))

    (known,) = store.gather([asked(site, clock(), other, idempotency_key="k")])

    assert known.conflict
    assert known.replay is None


def test_a_key_is_a_sites_own(store: Store, site: Site, clock: Clock) -> None:
    other, _ = store.add_site("other", Policy())
    record(store, asked(site, clock(), idempotency_key="k"))

    (known,) = store.gather([asked(other, clock(), idempotency_key="k")])

    assert (known.replay, known.conflict) == (None, False)


def test_within_a_batch_a_later_request_names_the_earlier(
    store: Store, site: Site, clock: Clock
) -> None:
    batch = [
        asked(site, clock()),
        asked(site, clock(), idempotency_key="k"),
        asked(site, clock(), idempotency_key="k"),
        asked(site, clock(), submission("other"), idempotency_key="k"),
    ]

    known = store.gather(batch)

    assert [k.same_as for k in known] == [None, None, 1, None]
    assert [k.conflict for k in known] == [False, False, False, True]


def test_a_lost_race_on_a_key_is_told_and_leaves_nothing(
    store: Store, site: Site, clock: Clock
) -> None:
    late = asked(site, clock(), idempotency_key="k")
    known = store.gather([late])
    record(store, asked(site, clock(), idempotency_key="k"))

    with pytest.raises(IdempotencyRace):
        store.record([Checked(late, known[0], VERDICT, 1.0)])

    assert store.comment(None, late.comment_id) is None
    assert store.gather([late])[0].replay is not None


def test_of_two_threads_with_one_key_one_records(
    open_store: Callable[[], Store], store: Store, site: Site, clock: Clock
) -> None:
    stores = [open_store() for _ in range(4)]
    batches = [asked(site, clock(), idempotency_key="k") for _ in stores]
    together = threading.Barrier(len(stores))
    ends: list[str] = []

    def run(one: Store, mine: int) -> None:
        (known,) = one.gather([batches[mine]])
        together.wait()
        try:
            one.record([Checked(batches[mine], known, VERDICT, 1.0)])
            ends.append("recorded")
        except IdempotencyRace:
            ends.append("raced")

    _run_together(run, stores)

    assert sorted(ends) == ["raced", "raced", "raced", "recorded"]
    assert store.queue_size(None) == 1


def test_threads_that_write_at_once_lose_nothing(store: Store, site: Site, clock: Clock) -> None:
    def run(one: Store, mine: int) -> None:
        for number in range(10):
            key = f"{mine}-{number}"
            record(one, *(asked(site, clock(), idempotency_key=f"{key}-{i}") for i in range(3)))

    _run_together(run, [store] * 4)

    assert store.queue_size(None) == 120


def _run_together(run: Callable[[Store, int], None], stores: list[Store]) -> None:
    failures: list[Exception] = []

    def guarded(store: Store, mine: int) -> None:
        try:
            run(store, mine)
        except StoreError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(s, i)) for i, s in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_old_keys_are_forgotten(store: Store, site: Site, clock: Clock) -> None:
    record(store, asked(site, clock(), idempotency_key="old"))
    clock.advance(days=2)
    record(store, asked(site, clock(), idempotency_key="new"))

    forgotten = store.prune_idempotency(clock() - timedelta(days=1))

    assert forgotten == 1
    keys = ("old", "new")
    known = store.gather([asked(site, clock(), idempotency_key=key) for key in keys])
    assert [k.replay is not None for k in known] == [False, True]


# ------------------------------------------------------------------ times


@pytest.mark.parametrize(
    "at",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(476, 9, 4, 1, 2, 3, 4, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=7))),
    ],
)
def test_a_time_of_any_century_and_zone_comes_back_in_utc(
    store: Store, site: Site, at: datetime
) -> None:
    sent = replace(SUBMISSION, article=Article(published_at=at))

    (stored,) = record(store, asked(site, at, sent))

    assert (stored.received_at, stored.submission.article.published_at) == (at, at)
    assert stored.received_at.tzinfo is UTC


def test_a_time_before_the_first_becomes_the_first(store: Store, site: Site, clock: Clock) -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    sent = replace(SUBMISSION, article=Article(published_at=early))

    (stored,) = record(store, asked(site, clock(), sent))

    assert stored.submission.article.published_at == datetime(1, 1, 1, tzinfo=UTC)


def test_a_naive_time_is_refused(store: Store, site: Site, clock: Clock) -> None:
    naive = replace(asked(site, clock()), received_at=clock().replace(tzinfo=None))
    (known,) = store.gather([asked(site, clock())])

    with pytest.raises(ValueError, match="aware"):
        store.record([Checked(naive, known, VERDICT, 1.0)])

    assert store.comment(None, naive.comment_id) is None


def test_a_naive_time_is_refused_in_a_question_too(store: Store, clock: Clock) -> None:
    with pytest.raises(ValueError, match="aware"):
        store.prune_idempotency(clock().replace(tzinfo=None))


def test_ids_sort_by_time_and_begin_at_1970() -> None:
    times = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]

    ids = [new_id(at) for at in [*times, datetime(9999, 1, 1, tzinfo=UTC)]]

    assert ids == sorted(ids)
    assert new_id(datetime(1950, 1, 1, tzinfo=UTC)).startswith("00000000-0000-7")


# ------------------------------------------------------------------ both databases


def test_a_long_story_reads_the_same_on_both_databases(
    store: Store, site: Site, clock: Clock, database: str
) -> None:
    texts = ["a", "b", "a", "c", "b", "a"]
    comments = []
    for number, text in enumerate(texts):
        clock.advance(seconds=number)
        comments += record(
            store,
            asked(site, clock(), submission(text, email=f"u{number % 2}@mail.example")),
            by=verdict(Outcome(number % 3), spam=number / 8),
        )
    store.decide(None, comments[1].id, reject(clock(), reason=RejectReason.TOXIC))
    store.decide(None, comments[2].id, accept(clock()))
    store.undo(None, comments[1].id, moderator="ann")

    told = [
        (c.history, c.state.word, c.decision, c.waiting_since)
        for c in (found(store, one.id) for one in comments)
    ]

    assert told == _story()


def _story() -> list[tuple[object, ...]]:
    start = Clock()()
    return [
        (History(), "accept", None, None),
        (History(), "queue", None, start + timedelta(seconds=1)),
        (
            History(author_seen=1, text_seen=1, seconds_since_author=3.0, same_article_twin=True),
            "accept",
            accept(start + timedelta(seconds=15)),
            None,
        ),
        (History(author_seen=1, seconds_since_author=5.0), "accept", None, None),
        (
            History(author_seen=2, text_seen=1, seconds_since_author=7.0),
            "queue",
            None,
            start + timedelta(seconds=10),
        ),
        (
            History(author_seen=2, text_seen=2, seconds_since_author=9.0),
            "reject",
            None,
            None,
        ),
    ]
