"""What is known of labels, on both databases; and the order of the queue that teaches most."""

from model.decision import RejectReason, ReportKind
from service.storage import Site, Store
from service.storage.finding import Filter, Finding, Order
from service.storage.label_findings import FindingKind, LabelFindings, Spoken
from tests.storage.cases import Clock, accept, asked, many, put, record, reject, submission, verdict

LONG = "Vay tiền nhanh trong ngày, không cần thế chấp, lãi suất thấp, giải ngân tận nhà, gọi ngay"
OTHER = "Bài viết phân tích rất kỹ, mình đọc hai lần và đồng ý với phần lớn những gì tác giả nêu"


def test_what_stands_is_counted_by_site_and_kind(store: Store, site: Site, clock: Clock) -> None:
    other, _ = store.add_site("khác", site.policy)
    for of in (site, other):
        first, second, third, fourth = record(store, *many(4, of, clock))
        store.decide(None, first.id, accept(clock()))
        store.decide(None, second.id, reject(clock(), reason=RejectReason.OFF_TOPIC))
        store.decide(None, third.id, reject(clock()))
        store.undo(None, third.id, moderator="bob")
        store.report(None, fourth.id, ReportKind.SPAM)

    findings = LabelFindings(store)

    assert findings.spoken([site.id]) == [
        Spoken(site.id, "decision", "accept", 1),
        Spoken(site.id, "decision", "off_topic", 1),
        Spoken(site.id, "report", "spam", 1),
    ]
    assert len(findings.spoken(None)) == 6
    assert findings.spoken([]) == []


def test_what_several_people_said_of_a_comment_is_their_last_word(
    store: Store, site: Site, clock: Clock
) -> None:
    again, once = record(store, *many(2, site, clock))
    for word in (
        accept(clock(), "ann"),
        reject(clock(), "bob"),
        reject(clock(), "ann", RejectReason.TOXIC),
    ):
        clock.advance(minutes=1)
        store.decide(None, again.id, word)
        store.undo(None, again.id, moderator=word.moderator)
    store.decide(None, once.id, accept(clock()))

    assert list(LabelFindings(store).said_again(None)) == [{"ann": "toxic", "bob": "spam"}]


def test_the_last_finding_is_kept_and_told(store: Store, site: Site, clock: Clock) -> None:
    findings = LabelFindings(store)
    assert findings.last(FindingKind.AUDIT) is None

    for number in (1, 2):
        findings.keep(FindingKind.AUDIT, {"labels": [number]}, by="operator")

    found = findings.last(FindingKind.AUDIT)
    assert found is not None
    assert (found.at, found.body) == (clock(), {"labels": [2]})
    assert findings.last(FindingKind.REPORT) is None
    assert [(e.kind, e.body) for e in store.events(None)][-2:] == [
        ("labels_looked_at", '{"what":"audit"}')
    ] * 2


def test_what_teaches_most_is_unsure_and_of_many_kinds(
    store: Store, site: Site, clock: Clock
) -> None:
    def say(text: str, spam: float) -> str:
        clock.advance(minutes=1)
        return put(store, asked(site, clock(), submission(text)), by=verdict(spam=spam))[0]

    copies = [say(LONG, 0.5) for _ in range(3)]
    sure = say("Hay", 0.875)
    other = say(OTHER, 0.375)
    finding = Finding(store)
    finding.catch_up()

    page = finding.find(None, Filter(), Order.TEACHES, limit=3).page
    rest = finding.find(None, Filter(), Order.TEACHES, limit=3, after=page.after).page

    found = [item.comment.id for item in (*page.items, *rest.items)]
    assert found[0] in copies
    assert found[1] == other
    assert set(found[2:4]) < set(copies) | {sure}
    assert sorted(found) == sorted([*copies, sure, other])


def test_copies_that_come_later_are_told_from_those_that_wait(
    store: Store, site: Site, clock: Clock
) -> None:
    finding = Finding(store)
    ids = []
    for _ in range(3):
        clock.advance(minutes=1)
        ids += put(store, asked(site, clock(), submission(LONG)), by=verdict(spam=0.5))
        finding.catch_up()

    found = finding.ids(None, Filter(), Order.TEACHES, limit=3)

    assert found == ids
