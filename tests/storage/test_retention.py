"""What is forgotten when it is old, what never is, and the partitions it lies in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from model.decision import ReportKind
from model.outcome import Outcome
from service.storage import Forgotten, Retention, Site, Store, new_id
from service.storage.partitions import all_of, first_id, period_of, period_start, time_in
from service.storage.partitions import alone as only_one
from service.storage.tables import comments, decisions, events, reports, undos, verdicts
from tests.storage.cases import Clock, accept, many, put, reject, submission, verdict

KEPT = Retention(days=40)
ACCEPTED = verdict(Outcome.ACCEPT, spam=0.01)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def count(store: Store, table: sa.Table) -> int:
    with store.reads() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def is_there(store: Store, comment_id: str) -> bool:
    return store.comment(None, comment_id) is not None


@pytest.fixture
def aged(store: Store, site: Site, clock: Clock) -> dict[str, str]:
    """A comment for each thing that can become of one, 100 days ago, with its partition."""
    store.make_partitions(KEPT)
    accepted = put(store, *many(40, site, clock), by=ACCEPTED)
    queued = put(store, *many(3, site, clock))
    store.decide(None, accepted[0], reject(clock()))
    store.decide(None, accepted[1], reject(clock()))
    store.undo(None, accepted[1], moderator="bob")
    store.report(None, accepted[2], ReportKind.SPAM)
    store.decide(None, queued[0], accept(clock()))
    clock.advance(days=100)
    return {
        "nobody spoke of": accepted[5],
        "decided": accepted[0],
        "undone": accepted[1],
        "reported": accepted[2],
        "decided from the queue": queued[0],
        "waiting": queued[1],
    }


def test_only_what_nobody_spoke_of_is_forgotten(store: Store, aged: dict[str, str]) -> None:
    store.make_partitions(KEPT)
    planned = store.to_forget(KEPT)

    done = store.forget(KEPT)

    assert done == planned
    assert done.dropped + done.comments == 37
    left = {name for name, comment_id in aged.items() if is_there(store, comment_id)}
    assert left == set(aged) - {"nobody spoke of"}
    assert count(store, comments) == count(store, verdicts) == 6
    assert store.queue_size(None) == 3  # two waiting and the reported one
    assert store.forget(KEPT) == Forgotten()


def test_what_was_kept_can_still_be_decided_and_taken_back(
    store: Store, aged: dict[str, str], clock: Clock
) -> None:
    store.forget(KEPT)

    store.decide(None, aged["waiting"], accept(clock()))
    store.undo(None, aged["decided"], moderator="bob")

    assert store.queue_size(None) == 2
    assert len(list(store.labelled())) > 0


def test_people_s_words_end_only_when_told_so_and_what_waits_never_does(
    store: Store, aged: dict[str, str]
) -> None:
    both = Retention(days=40, spoken_days=90)
    told = count(store, events)

    done = store.forget(both)

    left = {name for name, comment_id in aged.items() if is_there(store, comment_id)}
    assert left == {"waiting", "reported"}  # a report put it into the queue
    assert done.decisions == 3
    assert (count(store, decisions), count(store, undos)) == (0, 0)
    assert count(store, reports) == 1
    assert count(store, events) == told


def test_what_is_young_stays(store: Store, site: Site, clock: Clock) -> None:
    store.make_partitions(KEPT)
    ids = put(store, *many(5, site, clock), by=ACCEPTED)
    clock.advance(days=39)

    assert store.forget(KEPT) == Forgotten()
    assert is_there(store, ids[0])


def test_nothing_is_forgotten_by_default(store: Store, aged: dict[str, str]) -> None:
    assert store.to_forget(Retention()) == store.forget(Retention()) == Forgotten()
    assert is_there(store, aged["nobody spoke of"])


def test_a_request_that_was_made_after_is_judged_without_what_was_forgotten(
    store: Store, site: Site, aged: dict[str, str], clock: Clock
) -> None:
    store.forget(KEPT)

    (known,) = store.gather(many(1, site, clock))

    assert known.history.author_seen == 6
    assert known.history.author_rejected == 1


def test_many_are_forgotten_in_batches_between_which_others_may_write(
    store: Store, site: Site, clock: Clock
) -> None:
    put(store, *many(1300, site, clock), by=ACCEPTED)
    clock.advance(days=100)
    pauses: list[int] = []
    told: list[int] = []

    done = store.forget(KEPT, pause=lambda: pauses.append(1), progress=told.append)

    assert (done.comments, told) == (1300, [500, 1000, 1300])
    assert len(pauses) == 3


# ------------------------------------------------------------------ partitions


@pytest.fixture
def partition_names(store: Store) -> Callable[[], list[str]]:
    def names() -> list[str]:
        with store.reads() as connection:
            return [p.name for p in all_of(connection)]

    return names


@pytest.mark.postgres
class TestPartitions:
    @pytest.fixture
    def database(self) -> str:
        return "postgres"

    @pytest.fixture
    def url(self, empty_url: str) -> str:
        return empty_url

    def test_they_are_made_for_this_period_and_the_next_once(
        self, store: Store, partition_names: Callable[[], list[str]]
    ) -> None:
        made = store.make_partitions(KEPT)
        again = store.make_partitions(KEPT)

        assert made == ["p20260226", "p20260308"]
        assert again == []
        assert partition_names() == [*made, "rest"]

    def test_what_came_before_its_partition_was_made_is_moved_into_it(
        self, store: Store, site: Site, clock: Clock
    ) -> None:
        ids = put(store, *many(5, site, clock))
        store.make_partitions(KEPT)
        clock.advance(days=55)  # nobody made any for long
        late = put(store, *many(5, site, clock))

        store.make_partitions(KEPT)

        with store.reads() as connection:
            stray = connection.exec_driver_sql("SELECT count(*) FROM comments_rest").scalar_one()
        assert stray == 0
        assert all(is_there(store, comment_id) for comment_id in ids + late)

    def test_a_clock_that_jumps_loses_no_comment(
        self, store: Store, site: Site, clock: Clock
    ) -> None:
        store.make_partitions(KEPT)
        clock.advance(days=36_000)
        future = put(store, *many(2, site, clock))
        clock.advance(days=-50_000)
        past = put(store, *many(2, site, clock))
        clock.advance(days=14_000)

        store.make_partitions(KEPT)

        assert all(is_there(store, comment_id) for comment_id in future + past)

    def test_old_ones_are_dropped_and_what_was_kept_of_all_lies_in_one(
        self,
        store: Store,
        site: Site,
        clock: Clock,
        partition_names: Callable[[], list[str]],
    ) -> None:
        kept = []
        for _ in range(12):
            store.make_partitions(KEPT)
            ids = put(store, *many(20, site, clock), by=ACCEPTED)
            store.decide(None, ids[3], reject(clock()))
            kept.append(ids[3])
            store.forget(KEPT)
            clock.advance(days=10)

        names = partition_names()

        assert sum(name.startswith("k") for name in names) == 1
        assert len(names) <= 8
        assert all(is_there(store, comment_id) for comment_id in kept)
        assert count(store, comments) == count(store, verdicts) < 12 * 20
        assert len(list(store.labelled())) == 12

    def test_a_decision_that_comes_while_it_is_copied_is_kept(
        self, store: Store, site: Site, clock: Clock
    ) -> None:
        store.make_partitions(KEPT)
        ids = put(store, *many(20, site, clock), by=ACCEPTED)
        store.decide(None, ids[0], reject(clock()))
        clock.advance(days=100)

        spoken: list[bool] = []

        @sa.event.listens_for(store._engine, "before_cursor_execute")
        def speak(_c: object, _u: object, statement: str, *_: object) -> None:
            if statement.startswith("LOCK TABLE comments, verdicts") and not spoken:
                spoken.append(True)
                store.decide(None, ids[1], reject(clock()))
                store.undo(None, ids[0], moderator="bob")

        store.forget(KEPT)

        first, second = (store.comment(None, comment_id) for comment_id in ids[:2])
        assert first is not None
        assert first.decision is None
        assert second is not None
        assert second.state is Outcome.REJECT

    def test_an_equal_text_is_found_in_every_partition(
        self, store: Store, site: Site, clock: Clock
    ) -> None:
        for _ in range(3):
            store.make_partitions(KEPT)
            put(store, *many(1, site, clock, submission("the same words")))
            clock.advance(days=10)

        (known,) = store.gather(many(1, site, clock, submission("the same words")))

        assert known.history.text_seen == 3

    def test_one_process_alone_keeps_them(
        self, store: Store, open_store: Callable[[], Store], clock: Clock
    ) -> None:
        other = open_store()
        with only_one(other._engine) as alone:
            made = store.make_partitions(KEPT)

        assert alone
        assert made == []


@given(at=moments)
def test_an_id_sorts_at_its_moment(at: datetime) -> None:
    assert first_id(at) <= new_id(at) < first_id(at + timedelta(milliseconds=1))
    assert abs(time_in(new_id(at)) - at) < timedelta(milliseconds=1)


@given(at=moments, days=st.integers(1, 400))
def test_a_moment_lies_in_its_period(at: datetime, days: int) -> None:
    start = period_start(at, days)

    assert start <= at < start + timedelta(days=days)
    assert period_start(start, days) == start


@pytest.mark.parametrize(("kept", "period"), [(0, 365), (8, 2), (90, 23), (3650, 365), (1, 1)])
def test_a_period_is_a_quarter_of_what_is_kept(kept: int, period: int) -> None:
    assert period_of(kept) == period
