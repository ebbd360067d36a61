"""The queue, decisions, undos, reports, reveals and the labels they give."""

import base64
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from model.decision import Provenance, RejectReason, ReportKind, WordOf
from model.outcome import Outcome
from model.policy import Policy
from service.keyring import Keyring
from service.storage import (
    AkismetOrigin,
    AlreadyDecided,
    BadCursor,
    NoAddress,
    NothingToUndo,
    Site,
    Store,
    StoredComment,
    StoreError,
    StoreUnavailable,
    UnknownComment,
    Waiting,
)
from service.storage.finding import Finding, Order
from tests.storage.cases import (
    EMAIL,
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

FORGED = base64.urlsafe_b64encode(rb'["oldest",1,"\ud800"]').decode()


@pytest.fixture
def waiting(store: Store, site: Site, clock: Clock) -> StoredComment:
    (comment,) = record(store, asked(site, clock()))
    clock.advance(minutes=5)
    return comment


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.events(None) if event.comment_id]


# ------------------------------------------------------------------ reading


def test_a_comment_of_another_site_is_not_there(store: Store, waiting: StoredComment) -> None:
    other, _ = store.add_site("other", Policy())

    assert store.comment([other.id], waiting.id) is None
    assert store.comment([], waiting.id) is None
    assert store.comment([other.id, waiting.site_id], waiting.id) == waiting


@pytest.mark.parametrize(
    "unknown",
    ["", "no such id", "00000000-0000-7000-8000-000000000000", "\0", "\ud800", "é", "x" * 100_000],
)
def test_an_unknown_id_is_no_comment(store: Store, unknown: str, clock: Clock) -> None:
    assert store.comment(None, unknown) is None
    with pytest.raises(UnknownComment):
        store.decide(None, unknown, accept(clock()))


# ------------------------------------------------------------------ the queue


def test_only_what_the_verdict_queued_waits(store: Store, site: Site, clock: Clock) -> None:
    record(store, asked(site, clock()), by=verdict(Outcome.ACCEPT))
    record(store, asked(site, clock()), by=verdict(Outcome.REJECT))
    (queued,) = record(store, asked(site, clock()))
    clock.advance(seconds=1)
    drawn = verdict(audit=True, unaudited=Outcome.ACCEPT)
    (audited,) = record(store, asked(site, clock()), by=drawn)

    page = store.queue_page(None)

    assert [(item.comment, item.why) for item in page.items] == [
        (queued, Waiting.VERDICT),
        (audited, Waiting.AUDIT),
    ]
    assert store.queue_size(None) == 2


def test_pages_go_through_the_oldest_first(store: Store, site: Site, clock: Clock) -> None:
    ids = put(store, *many(5, site, clock))

    assert pages(store, Order.OLDEST) == [ids[:2], ids[2:4], ids[4:]]


def test_pages_go_through_the_riskiest_first(store: Store, site: Site, clock: Clock) -> None:
    by_risk = [
        record(store, asked(site, clock()), by=scored)[0].id
        for scored in (
            replace(VERDICT, scores=None),
            verdict(spam=0.9),
            verdict(spam=0.5),
            verdict(spam=0.2),
        )
    ]

    assert pages(store, Order.RISKIEST) == [by_risk[:2], by_risk[2:]]


def test_what_is_decided_between_two_pages_leaves_no_gap(
    store: Store, site: Site, clock: Clock
) -> None:
    ids = put(store, *many(4, site, clock))
    first = store.queue_page(None, limit=2)
    store.decide(None, ids[0], accept(clock()))
    store.decide(None, ids[1], accept(clock()))

    second = store.queue_page(None, limit=2, after=first.after)

    assert [item.comment.id for item in second.items] == ids[2:]
    assert second.after == ""


def test_a_queue_is_a_sites_own(store: Store, site: Site, clock: Clock) -> None:
    other, _ = store.add_site("other", Policy())
    record(store, asked(site, clock()))
    (theirs,) = record(store, asked(other, clock()))

    page = store.queue_page([other.id])

    assert [item.comment for item in page.items] == [theirs]
    assert (store.queue_size([other.id]), store.queue_size([])) == (1, 0)


@pytest.mark.parametrize(
    "cursor", ["x", "é", "W10", "bnVsbA", "W1tdLFtdLFtdXQ", "=" * 9, "\0", FORGED]
)
def test_a_made_up_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor):
        store.queue_page(None, after=cursor)


def test_a_cursor_of_another_order_is_refused(store: Store, site: Site, clock: Clock) -> None:
    record(store, *(asked(site, clock()) for _ in range(2)))
    finding = Finding(store)
    finding.catch_up()
    after = finding.page(None, Order.RISKIEST, limit=1).after
    assert after

    with pytest.raises(BadCursor):
        store.queue_page(None, after=after)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_bounds(store: Store, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        store.queue_page(None, limit=limit)


def pages(store: Store, order: Order) -> list[list[str]]:
    finding = Finding(store)
    finding.catch_up()
    page = finding.page(None, order, limit=2)
    ids = [[item.comment.id for item in page.items]]
    while page.after:
        page = finding.page(None, order, limit=2, after=page.after)
        ids.append([item.comment.id for item in page.items])
    return ids


# ------------------------------------------------------------------ decisions


def test_a_decision_stands_and_ends_the_waiting(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    word = reject(clock(), by="bob", reason=RejectReason.OFF_TOPIC)

    decided = store.decide(None, waiting.id, word)

    assert decided == replace(waiting, state=Outcome.REJECT, decision=word, waiting_since=None)
    assert found(store, waiting.id) == decided
    assert store.queue_size(None) == 0


def test_the_second_moderator_is_told_which_decision_stands(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    first = accept(clock(), by="ann")
    store.decide(None, waiting.id, first)

    with pytest.raises(AlreadyDecided) as refusal:
        store.decide(None, waiting.id, reject(clock(), by="bob"))

    assert refusal.value.standing == first
    assert found(store, waiting.id).decision == first


@pytest.mark.parametrize("machine", [Outcome.ACCEPT, Outcome.REJECT])
def test_a_moderator_may_overrule_the_machine(
    store: Store, site: Site, clock: Clock, machine: Outcome
) -> None:
    (comment,) = record(store, asked(site, clock()), by=verdict(machine))
    word = reject(clock()) if machine is Outcome.ACCEPT else accept(clock())

    decided = store.decide(None, comment.id, word)

    assert (decided.state, decided.verdict.outcome) == (word.outcome, machine)
    assert store.undo(None, comment.id, moderator="ann") == comment


def test_of_moderators_deciding_at_once_one_wins(
    open_store: Callable[[], Store], waiting: StoredComment, clock: Clock
) -> None:
    together = threading.Barrier(4)
    standing: list[str] = []
    won: list[str] = []

    def run(store: Store, name: str) -> None:
        store.ping()
        together.wait()
        try:
            store.decide(None, waiting.id, reject(clock(), by=name))
            won.append(name)
        except AlreadyDecided as refusal:
            standing.append(refusal.standing.moderator)

    threads = [
        threading.Thread(target=run, args=(open_store(), name)) for name in ("a", "b", "c", "d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert standing == won * 3


def test_an_undo_brings_back_exactly_what_was(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    before = store.queue_page(None)
    store.decide(None, waiting.id, reject(clock()))
    clock.advance(minutes=1)

    undone = store.undo(None, waiting.id, moderator="ann")

    assert undone == waiting
    assert store.queue_page(None) == before


def test_an_undo_destroys_nothing(store: Store, waiting: StoredComment, clock: Clock) -> None:
    store.decide(None, waiting.id, reject(clock()))
    store.undo(None, waiting.id, moderator="ann")
    again = accept(clock())
    store.decide(None, waiting.id, again)

    assert found(store, waiting.id).decision == again
    assert kinds(store) == ["decided", "undone", "decided"]


def test_an_undo_without_a_decision_is_refused(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    store.decide(None, waiting.id, accept(clock()))
    store.undo(None, waiting.id, moderator="ann")

    with pytest.raises(NothingToUndo):
        store.undo(None, waiting.id, moderator="ann")


def test_a_comment_of_another_site_cannot_be_touched(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    other, _ = store.add_site("other", Policy())
    acts: list[Callable[[], object]] = [
        lambda: store.decide([other.id], waiting.id, accept(clock())),
        lambda: store.undo([other.id], waiting.id, moderator="eve"),
        lambda: store.report([other.id], waiting.id, ReportKind.HAM),
        lambda: store.reveal_address([other.id], waiting.id, moderator="eve", why="x"),
    ]

    for act in acts:
        with pytest.raises(UnknownComment):
            act()

    assert kinds(store) == []


def test_a_word_that_cannot_be_kept_is_refused(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    with pytest.raises(StoreError) as refusal:
        store.reveal_address(None, waiting.id, moderator="ann", why="\ud800")

    assert not isinstance(refusal.value, StoreUnavailable)
    assert kinds(store) == []


# ------------------------------------------------------------------ reports


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (Outcome.REJECT, ReportKind.HAM),
        (Outcome.ACCEPT, ReportKind.SPAM),
        (Outcome.ACCEPT, ReportKind.TOXIC),
    ],
)
def test_a_report_against_the_verdict_asks_a_person(
    store: Store, site: Site, clock: Clock, machine: Outcome, kind: ReportKind
) -> None:
    (comment,) = record(store, asked(site, clock()), by=verdict(machine))
    clock.advance(days=1)

    reported = store.report(None, comment.id, kind)

    assert (reported.state, reported.waiting_since) == (Outcome.QUEUE, clock())
    assert [item.why for item in store.queue_page(None).items] == [Waiting.REPORT]


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (Outcome.ACCEPT, ReportKind.HAM),
        (Outcome.REJECT, ReportKind.SPAM),
        (Outcome.REJECT, ReportKind.TOXIC),
    ],
)
def test_a_report_that_agrees_changes_nothing(
    store: Store, site: Site, clock: Clock, machine: Outcome, kind: ReportKind
) -> None:
    (comment,) = record(store, asked(site, clock()), by=verdict(machine))

    assert store.report(None, comment.id, kind) == comment
    assert store.queue_size(None) == 0


def test_the_same_report_twice_is_one(store: Store, waiting: StoredComment, clock: Clock) -> None:
    store.report(None, waiting.id, ReportKind.SPAM)
    clock.advance(days=1)
    store.report(None, waiting.id, ReportKind.SPAM)

    noted = store.reports_of(waiting.id)

    assert [report.at for report in noted] == [clock() - timedelta(days=1)]
    assert kinds(store) == ["reported"]


def test_a_report_does_not_reopen_a_persons_decision(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    decided = store.decide(None, waiting.id, reject(clock()))

    assert store.report(None, waiting.id, ReportKind.HAM) == decided
    assert store.queue_size(None) == 0


def test_an_undo_brings_a_reported_comment_back_to_the_queue(
    store: Store, site: Site, clock: Clock
) -> None:
    (comment,) = record(store, asked(site, clock()), by=verdict(Outcome.ACCEPT))
    reported = store.report(None, comment.id, ReportKind.SPAM)
    clock.advance(days=1)
    store.decide(None, comment.id, reject(clock()))

    assert store.undo(None, comment.id, moderator="ann") == reported


# ------------------------------------------------------------------ addresses


def test_an_address_is_revealed_on_record(store: Store, waiting: StoredComment) -> None:
    address = store.reveal_address(
        None, waiting.id, moderator="ann", why="she asked at x@y.example what we hold"
    )

    (event,) = [e for e in store.events(None) if e.kind == "address_revealed"]
    assert address == EMAIL
    assert (event.comment_id, event.actor) == (waiting.id, "ann")
    assert event.body == '{"why":"she asked at •••@y.example what we hold"}'


def test_there_is_nothing_to_reveal_of_a_comment_without_address(
    store: Store, site: Site, clock: Clock
) -> None:
    (comment,) = record(store, asked(site, clock(), submission(email="")))

    with pytest.raises(NoAddress):
        store.reveal_address(None, comment.id, moderator="ann", why="curious")

    assert kinds(store) == []


def test_after_a_rotation_every_address_is_sealed_anew(
    store: Store, site: Site, clock: Clock, keyring: Keyring
) -> None:
    comments = record(store, *(asked(site, clock()) for _ in range(5)))
    record(store, asked(site, clock(), submission(email="")))
    keyring.add_address_key()
    (newer,) = record(store, asked(site, clock()))

    before, done = store.address_keys_in_use(), store.reencrypt_addresses(batch_size=2)

    assert (before, done) == (frozenset({1, 2}), 5)
    assert store.address_keys_in_use() == {2}
    assert store.reencrypt_addresses() == 0
    assert {
        store.reveal_address(None, c.id, moderator="ann", why="test") for c in [*comments, newer]
    } == {EMAIL}


def test_after_a_rotation_the_secrets_of_sites_are_sealed_anew(
    store: Store, site: Site, clock: Clock, keyring: Keyring
) -> None:
    store.set_coral_secret(site.id, "s3cr3t")
    akismet_key = store.new_akismet_key(site.id)
    origin = AkismetOrigin("match", "blog.example", "https://blog.example/hook")
    told = replace(asked(site, clock(), submission(email="")), origin=origin)
    (comment,) = record(store, told)
    store.decide(None, comment.id, accept(clock()))
    keyring.add_address_key()

    before, done = store.address_keys_in_use(), store.reencrypt_addresses()

    assert (before, done, store.address_keys_in_use()) == (frozenset({1}), 0, frozenset({2}))
    coral, late = store.coral_site(site.id), store.claim_late_verdict(clock())
    assert coral is not None
    assert coral.secret == "s3cr3t"
    assert late is not None
    assert late.key == akismet_key


# ------------------------------------------------------------------ labels


def test_decisions_are_labels_and_verdicts_are_not(store: Store, site: Site, clock: Clock) -> None:
    comments = record(store, *many(6, site, clock))
    record(store, asked(site, clock()), by=verdict(Outcome.REJECT))
    words = [
        accept(clock()),
        reject(clock(), reason=RejectReason.SPAM),
        reject(clock(), reason=RejectReason.TOXIC),
        reject(clock(), reason=RejectReason.OFF_TOPIC),
        reject(clock(), reason=RejectReason.OTHER),
    ]
    for comment, word in zip(comments, words, strict=False):
        store.decide(None, comment.id, word)

    examples = list(store.labelled())

    assert [(e.extra["comment_id"], e.label.word) for e in examples] == [
        (comments[0].id, "ham"),
        (comments[0].id, "clean"),
        (comments[1].id, "spam"),
        (comments[2].id, "toxic"),
    ]
    assert len({e.id for e in examples}) == len(examples)


def test_an_undo_of_ones_own_leaves_another_persons_decision(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    decided = store.decide(None, waiting.id, accept(clock(), by="ann"))

    with pytest.raises(NothingToUndo):
        store.undo(None, waiting.id, moderator="bob", only_own=True)

    assert store.comment(None, waiting.id) == decided


def test_an_undone_decision_is_no_label(store: Store, waiting: StoredComment, clock: Clock) -> None:
    store.decide(None, waiting.id, reject(clock()))
    store.undo(None, waiting.id, moderator="ann")

    assert list(store.labelled()) == []


def test_a_report_is_a_label_until_a_person_decides(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    store.report(None, waiting.id, ReportKind.SPAM)
    (reported,) = store.labelled()
    store.decide(None, waiting.id, reject(clock(), reason=RejectReason.OFF_TOPIC))

    assert (reported.label.word, reported.extra["decided_by"]) == ("spam", "site")
    assert list(store.labelled()) == []


def test_a_label_tells_whose_word_it_is_and_the_chance_of_being_asked(
    store: Store, site: Site, clock: Clock
) -> None:
    drawn, reported = record(store, *many(2, site, clock))
    (unasked,) = record(store, asked(site, clock()), by=verdict(Outcome.ACCEPT))
    at = clock().isoformat()
    store.decide(None, drawn.id, reject(clock(), by="ann@blog.example"))
    store.decide(None, unasked.id, reject(clock(), by="bob"))
    store.report(None, reported.id, ReportKind.SPAM)

    of = {e.extra["comment_id"]: e.provenance for e in store.labelled()}

    assert of == {
        drawn.id: Provenance(WordOf.DECISION, "a•••@blog.example", at, 1.0),
        reported.id: Provenance(WordOf.REPORT, site.name, at),
        unasked.id: Provenance(WordOf.DECISION, "bob", at),
    }


def test_of_reports_that_disagree_the_later_counts(
    store: Store, waiting: StoredComment, clock: Clock
) -> None:
    for kind in (ReportKind.SPAM, ReportKind.TOXIC, ReportKind.HAM):
        clock.advance(seconds=1)
        store.report(None, waiting.id, kind)

    assert [e.label.word for e in store.labelled()] == ["ham", "toxic"]


def test_an_example_holds_what_training_needs_and_no_address(
    store: Store, site: Site, clock: Clock
) -> None:
    sent = submission("Write to me: an@gmail.com", name="an@gmail.com", email="an.nguyen@gmail.com")
    (comment,) = record(store, asked(site, clock(), sent))
    clock.advance(hours=1)
    store.decide(None, comment.id, reject(clock(), by="ann@blog.example"))

    (example,) = store.labelled()

    assert example.id == f"{comment.id}:spam"
    assert (example.text, example.author) == ("Write to me: a•••@gmail.com", "a•••@gmail.com")
    assert (example.email, example.ip) == ("person@gmail.com", "203.0.0.0/16")
    assert (example.source, example.group) == ("duyet:blog", f"blog/{SUBMISSION.permalink}")
    assert (example.lang, example.date) == ("vi", "2026-03-01T12:00:00+00:00")
    assert example.extra == {
        "comment_id": comment.id,
        "comment_type": "reply",
        "outcome": "queue",
        "unaudited": None,
        "scores": {"spam": 0.625, "toxicity": 0.125},
        "model": "m-1",
        "policy": "p-1",
        "review_probability": 1.0,
        "reviewed_because": "verdict",
        "decided_by": "a•••@blog.example",
        "decided_at": "2026-03-01T13:00:00+00:00",
        "reason": "spam",
        "history": {
            "author_seen": 0,
            "author_accepted": 0,
            "author_rejected": 0,
            "ip_rejected": 0,
            "text_seen": 0,
            "text_rejected": 0,
            "seconds_since_author": None,
            "same_article_twin": False,
        },
    }


@pytest.mark.parametrize(
    ("email", "shape"),
    [("an@GMAIL.com", "person@gmail.com"), ("an@nguyen.vn", "person@example.invalid"), ("", "")],
)
def test_an_example_tells_no_private_domain(
    store: Store, site: Site, clock: Clock, email: str, shape: str
) -> None:
    (comment,) = record(store, asked(site, clock(), submission(email=email)))
    store.decide(None, comment.id, reject(clock()))

    assert [e.email for e in store.labelled()] == [shape]


def test_examples_come_in_order_over_many_pages_and_by_site(
    store: Store, site: Site, clock: Clock
) -> None:
    other, _ = store.add_site("other", Policy())
    ids = put(store, *many(7, site, clock))
    theirs = put(store, *many(1, other, clock))
    for comment_id in ids + theirs:
        store.report(None, comment_id, ReportKind.SPAM)

    mine = [e.extra["comment_id"] for e in store.labelled([site.id], page_size=3)]
    everyones = [e.extra["comment_id"] for e in store.labelled(page_size=4)]

    assert mine == ids
    assert everyones == ids + theirs
