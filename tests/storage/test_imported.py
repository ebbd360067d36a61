"""A site's history as it is stored: what it means here, once however often it comes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from model.decision import RejectReason, WordOf
from model.outcome import Head, Outcome
from model.policy import Policy
from model.submission import Author
from service.history.importing import BATCH, Importing, Job, Summary
from service.history.records import Draft, HistoryError, Imported, Record, Refused, Status
from service.storage import Site, Store, UnknownSite
from service.storage.records import Waiting
from tests.storage.cases import Clock, accept, asked, found, put, submission

AT = datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC)


def record(number: int, status: Status = Status.APPROVED, **changes: object) -> Record:
    made = Draft(
        f"line {number}",
        id=str(number),
        status=status,
        content=f"Bình luận số {number}",
        name="An",
        email="an@mail.example",
        ip="203.0.113.9",
        written=AT + timedelta(minutes=number),
        permalink="https://blog.example/a",
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made.finished()


class Run:
    """Imports into a site, and what was refused."""

    def __init__(self, store: Store, site: Site, clock: Clock) -> None:
        self.store, self.site, self.clock = store, site, clock
        self.refused: list[Refused] = []

    def __call__(
        self, *records: Record, key: str = "f", form: str = "wxr", queue_waiting: bool = False
    ) -> Summary:
        return self.from_(iter(records), key=key, form=form, queue_waiting=queue_waiting)

    def from_(
        self,
        records: Iterator[Record],
        *,
        key: str = "f",
        form: str = "wxr",
        queue_waiting: bool = False,
        store: Store | None = None,
    ) -> Summary:
        job = Job(self.site, form, key, queue_waiting)
        importing = Importing(store or self.store, job, now=self.clock, refuse=self.refused.append)
        return importing.run(records)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.store.kept(self.site.id)]


@pytest.fixture
def run(store: Store, site: Site, clock: Clock) -> Run:
    return Run(store, site, clock)


def test_what_was_decided_there_is_a_decision_here_with_its_provenance(run: Run) -> None:
    statuses = [Status.APPROVED, Status.SPAM, Status.TRASH]

    run(*[record(n, status) for n, status in enumerate(statuses)])

    stored = [found(run.store, id_) for id_ in run.ids]
    decisions = [one.decision for one in stored if one.decision]
    assert [(d.outcome, d.reason) for d in decisions] == [
        (Outcome.ACCEPT, None),
        (Outcome.REJECT, RejectReason.SPAM),
        (Outcome.REJECT, RejectReason.OTHER),
    ]
    assert {d.moderator for d in decisions} == {"import wxr"}
    assert [one.received_at for one in stored] == [AT + timedelta(minutes=n) for n in range(3)]
    assert [one.state for one in stored] == [Outcome.ACCEPT, Outcome.REJECT, Outcome.REJECT]


def test_an_imported_comment_says_that_it_was_not_judged_here(run: Run) -> None:
    run(record(1))

    verdict = found(run.store, run.ids[0]).verdict

    assert (verdict.scores, verdict.model, verdict.outcome) == (None, "", Outcome.QUEUE)
    assert [reason.code for reason in verdict.reasons] == ["history.imported"]


def test_labels_come_of_what_was_decided_and_trash_gives_none(run: Run) -> None:
    run(record(1), record(2, Status.SPAM), record(3, Status.TRASH))

    labels = list(run.store.labelled())

    assert [(e.label.head, e.label.positive) for e in labels] == [
        (Head.SPAM, False),
        (Head.TOXICITY, False),
        (Head.SPAM, True),
    ]
    assert {e.extra["decided_by"] for e in labels} == {"import wxr"}
    assert {e.extra["reviewed_because"] for e in labels} == {"import"}
    assert {(e.provenance.kind, e.provenance.chance) for e in labels} == {(WordOf.IMPORT, None)}
    assert all(e.provenance.at == e.date for e in labels)  # nobody says when it was decided


def test_an_imported_author_is_known_when_the_next_comment_comes(run: Run) -> None:
    run(record(1), record(2), record(3, Status.SPAM))

    sent = submission("Mới", email="an@mail.example", ip="203.0.113.9")
    (known,) = run.store.gather([asked(run.site, run.clock(), sent)])

    history = known.history
    assert (history.author_seen, history.author_accepted, history.author_rejected) == (3, 2, 1)
    assert history.ip_rejected == 1


def test_what_waited_there_is_left_out_unless_it_is_asked_for(run: Run) -> None:
    waiting = record(1, Status.WAITING)

    left_out = run(waiting)
    taken = run(waiting, key="f with the queue", queue_waiting=True)

    page = run.store.queue_page(None)
    assert (left_out.not_queued, taken.imported[Status.WAITING]) == (1, 1)
    assert [item.why for item in page.items] == [Waiting.IMPORT]
    assert page.items[0].comment.waiting_since == run.clock()
    assert page.items[0].comment.decision is None


def test_a_second_run_adds_nothing_whether_the_file_is_the_same_or_a_later_one(run: Run) -> None:
    records = [record(n) for n in range(5)]

    run(*records)
    again = run(*records)
    later = run(*records, record(9), key="a later export")

    assert (again.passed, sum(again.imported.values())) == (5, 0)
    assert (later.known, sum(later.imported.values())) == (5, 1)
    assert len(run.ids) == 6


def test_the_same_id_with_another_text_is_told_and_not_taken_for_known(run: Run) -> None:
    summary = run(record(1), record(1, content="Khác hẳn"), record(1, status=Status.SPAM))

    assert (summary.refused, summary.known) == (1, 1)
    assert "another text" in run.refused[0].problem
    assert len(run.ids) == 1


def test_ids_of_two_formats_and_two_sites_are_told_apart(run: Run, store: Store) -> None:
    other, _ = store.add_site("other", Policy())

    run(record(1))
    run(record(1), form="disqus", key="g")
    Run(store, other, run.clock)(record(1))

    assert len(run.ids) == 2
    assert len(list(store.kept(other.id))) == 1


def test_what_was_exported_from_here_is_known(run: Run) -> None:
    (id_,) = put(run.store, asked(run.site, run.clock(), submission()))

    summary = run(record(1, id=id_, external_id="wp-12"), form="jsonl")

    assert (summary.known, run.ids) == (1, [id_])


def test_what_only_a_machine_said_there_is_no_decision_here(run: Run) -> None:
    run(record(1, by_person=False), record(2, Status.SPAM, by_person=False))

    stored = [found(run.store, id_) for id_ in run.ids]

    assert [one.decision for one in stored] == [None, None]
    assert [one.state for one in stored] == [Outcome.ACCEPT, Outcome.REJECT]
    assert list(run.store.labelled()) == []
    assert run.store.queue_size(None) == 0


def test_a_site_is_not_learnt_from_what_was_imported(run: Run, store: Store) -> None:
    (id_,) = put(store, asked(run.site, run.clock(), submission()))
    store.decide(None, id_, accept(run.clock()))
    before = store.changes(run.site.id)

    run(*[record(n) for n in range(5)])
    run(*[record(n) for n in range(5, 9)], key="another")

    folded = store.decided(run.site.id, after=0, upto=10**6, undone_upto=0, limit=100)
    assert store.changes(run.site.id) == before
    assert [one.id for one in folded] == [id_]


def test_a_decision_that_was_imported_can_be_taken_back(run: Run) -> None:
    run(record(1))

    taken_back = run.store.undo(None, run.ids[0], moderator="ann")
    decided = run.store.decide(None, run.ids[0], accept(run.clock()))

    assert taken_back.decision is None
    assert taken_back.waiting_since == run.clock()
    assert decided.decision is not None


class Killed(Exception):
    pass


def test_an_import_that_was_killed_goes_on_where_it_stopped(run: Run) -> None:
    records = [record(n) for n in range(2 * BATCH + 50)]

    def cut() -> Iterator[Record]:
        yield from records[: BATCH + 20]
        raise Killed

    with pytest.raises(Killed):
        run.from_(cut())
    committed = len(run.ids)
    rest = run(*records)

    assert committed == BATCH
    assert (rest.passed, sum(rest.imported.values())) == (BATCH, BATCH + 50)
    assert len(run.ids) == len(records)


def test_what_came_before_a_file_breaks_is_kept(run: Run) -> None:
    def broken() -> Iterator[Record]:
        yield record(1)
        raise HistoryError("line 9: cut short")

    with pytest.raises(HistoryError):
        run.from_(broken())

    assert len(run.ids) == 1


def test_of_two_imports_at_once_each_comment_is_taken_by_one(
    run: Run, open_store: Callable[[], Store]
) -> None:
    other = open_store()
    records = [record(n) for n in range(BATCH + 30)]

    def in_between() -> Iterator[Record]:
        yield from records[:10]
        run.from_(iter(records), store=other)  # the whole of it while this one has a batch
        yield from records[10:]

    summary = run.from_(in_between())

    assert summary.known == len(records)
    assert len(run.ids) == len(records)


def test_dates_to_come_are_refused_but_for_what_a_zone_may_do(run: Run) -> None:
    now = run.clock()
    soon, far = now + timedelta(hours=7), now + timedelta(days=400)

    summary = run(record(1, written=soon), record(2, written=far))

    assert summary.refused == 1
    assert "future" in run.refused[0].problem
    assert found(run.store, run.ids[0]).received_at == now


def test_bad_records_do_not_hold_up_the_good_ones(run: Run) -> None:
    bad = Refused("line 2", "it has no text")
    note = Refused("line 3", "it is a note", is_fault=False)

    summary = run(record(1), bad, note, record(4))

    assert run.refused == [bad]
    assert (summary.refused, summary.no_comments, len(run.ids)) == (1, 1, 2)


def test_what_no_database_keeps_is_refused_alone(run: Run) -> None:
    good = record(2)
    assert isinstance(good, Imported)
    bad = replace(good, origin="x", author=Author(name="\ud800"))

    summary = run(bad, good)

    assert (summary.refused, len(run.ids)) == (1, 1)


def test_an_import_into_a_site_that_is_gone_is_refused(run: Run) -> None:
    run.site = replace(run.site, id="01a21389-ca51-7b8a-9152-012e81de002b")

    with pytest.raises(UnknownSite):
        run(record(1))


def test_that_an_import_ended_is_on_record_once(run: Run) -> None:
    run(record(1), record(2))

    kinds = [event.kind for event in run.store.events(None)]

    assert kinds == ["site_added", "history_imported"]
