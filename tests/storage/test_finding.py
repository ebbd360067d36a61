"""Finding what waits, on both databases: filters, words, orders, pages, histograms."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from model.decision import ReportKind
from model.folding import folded, words_of
from model.outcome import Head, Outcome, Scores
from model.policy import Policy
from model.verdict import Reason
from service.storage import BadCursor, Site, Store
from service.storage.acts import Acts
from service.storage.finding import Count, Filter, Finding, Order, Part, catch_up
from service.storage.passed import Passed
from service.storage.tables import waiting, waiting_texts
from service.storage.traits import BINS, Band
from tests.storage.cases import VERDICT, Clock, accept, asked, many, put, reject, submission


@pytest.fixture
def finding(store: Store) -> Finding:
    return Finding(store)


Say = Callable[..., str]


@pytest.fixture
def say(store: Store, site: Site, clock: Clock) -> Say:
    def say_one(
        content: str = "x", *, spam: float = 0.5, code: str = "links.many", **author: str
    ) -> str:
        clock.advance(minutes=1)
        verdict = replace(
            VERDICT, scores=Scores(spam, 0.125), reasons=(Reason(code, "content", ""),)
        )
        sent = submission(content, **author)
        return put(store, asked(site, clock(), sent), by=verdict)[0]

    return say_one


def found(finding: Finding, wanted: Filter, order: Order = Order.OLDEST) -> list[str]:
    finding.catch_up()
    page = finding.find(None, wanted, order, limit=50).page
    return [item.comment.id for item in page.items]


def looking_for(text: str) -> Filter:
    return Filter(words=words_of(text))


# ------------------------------------------------------------------ words


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
@pytest.mark.parametrize(
    "typed", ["nước", "NUOC", "nuoc", "Đá nước", "da nuoc", "nước đá", "  nuoc\tda "]
)
def test_vietnamese_is_found_with_and_without_diacritics(
    finding: Finding, say: Say, form: str, typed: str
) -> None:
    wanted = say(unicodedata.normalize(form, "Một cốc Nước Đá, xin cảm ơn"))  # type: ignore[arg-type]  # parametrised
    say("Một cốc trà nóng")

    assert found(finding, looking_for(unicodedata.normalize(form, typed))) == [wanted]  # type: ignore[arg-type]  # parametrised


@pytest.mark.parametrize("sign", ["%", "_", "'", '"', "\\", "~/", "*", "100%", "a_b", "';--"])
def test_no_sign_has_a_meaning_of_its_own(finding: Finding, say: Say, sign: str) -> None:
    wanted = say(f"before {sign} after")
    say("before x axb 100 after")

    assert found(finding, looking_for(sign)) == [wanted]


def test_words_are_looked_for_in_text_name_website_and_title_and_all_have_to_be_there(
    finding: Finding, say: Say
) -> None:
    wanted = say("hello there", name="Đặng Tú", url="https://tu.example/")
    say("hello there", name="Bob", url="https://bob.example/")

    assert found(finding, looking_for("dang tu.example HELLO")) == [wanted]
    assert found(finding, looking_for("dang bob.example")) == []
    assert len(found(finding, looking_for("a post"))) == 2


def test_an_address_is_not_found_letter_by_letter(finding: Finding, say: Say) -> None:
    say("write to kiem.vay@nhanh.example please")

    assert found(finding, looking_for("kiem.vay")) == []
    assert found(finding, looking_for("nguyen.van.an")) == []


@pytest.mark.parametrize("typed", ["", " ", "\0", "\ud800", "\u200b", "\x1f\x7f"])
def test_what_is_no_word_looks_for_nothing(finding: Finding, say: Say, typed: str) -> None:
    say()

    assert words_of(typed) == ()
    assert len(found(finding, looking_for(typed))) == 1


def test_folding_leaves_what_one_types() -> None:
    assert folded("  ĐƯỜNG\u200b phố\n%_' ") == "duong pho %_'"
    assert folded("Straße ŁÓDŹ ﬁ") == "strasse lodz fi"
    assert words_of("a " * 500) == ("a",)


# ------------------------------------------------------------------ filters


def test_each_filter_finds_its_own(
    store: Store, finding: Finding, site: Site, clock: Clock, say: Say
) -> None:
    other, _ = store.add_site("other", Policy())
    first = say("Buy at https://shop.meds.example/x now", spam=0.9, code="score.spam_likely")
    second = say("Bài viết này thật là hay và bổ ích quá", code="score.spam_unsure")
    third = put(store, *many(1, other, clock))[0]
    store.report(None, second, ReportKind.SPAM)

    assert found(finding, Filter(site_id=other.id)) == [third]
    assert found(finding, Filter(domain="meds.example")) == [first]
    assert found(finding, Filter(code="score.spam_likely")) == [first]
    assert found(finding, Filter(band=Band.SPAM)) == [first]
    assert found(finding, Filter(band=Band.UNSURE)) == [second]
    assert found(finding, Filter(is_reported=True)) == [second]
    assert found(finding, Filter(language="vi")) == [second, third]
    assert found(finding, Filter(first=18)) == [first]
    assert found(finding, Filter(article=("a-post",), site_id=site.id)) == [first, second]
    assert found(finding, Filter(domain="example")) == []


def test_a_report_on_what_is_known_already_is_found(
    store: Store, finding: Finding, say: Say
) -> None:
    one = say()
    assert found(finding, Filter(is_reported=True)) == []

    store.report(None, one, ReportKind.SPAM)

    assert found(finding, Filter(is_reported=True)) == [one]


def test_a_new_author_is_one_without_an_accepted_comment(
    store: Store, finding: Finding, clock: Clock, say: Say
) -> None:
    known = say("first", email="known@mail.example")
    store.decide(None, known, accept(clock()))
    say("second", email="known@mail.example")
    new = say("third", email="new@mail.example")

    assert found(finding, Filter(is_new_author=True)) == [new]


def test_other_sites_are_not_there(
    store: Store, finding: Finding, site: Site, clock: Clock
) -> None:
    other, _ = store.add_site("other", Policy())
    put(store, *many(2, other, clock))
    own = put(store, *many(1, site, clock))
    finding.catch_up()

    for wanted in (Filter(), Filter(language="vi"), looking_for("hay")):
        assert finding.ids([site.id], wanted, Order.OLDEST, limit=9) == own
        assert sum(map(sum, finding.histogram([site.id], wanted))) == 1
    assert finding.ids([site.id], Filter(site_id=other.id), Order.OLDEST, limit=9) == []
    shown = finding.find([site.id], Filter(site_id=other.id), Order.OLDEST, limit=9)
    assert (shown.page.items, shown.count) == ((), Count(0))


# ------------------------------------------------------------------ orders and pages


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("wanted", [Filter(), Filter(language="vi"), looking_for("hay qua")])
def test_pages_in_any_order_leave_nothing_out_and_repeat_nothing(
    finding: Finding, say: Say, order: Order, wanted: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(9):
        say("Bài viết này hay quá là hay, cảm ơn", spam=(at % 3) / 10)
    finding.catch_up()
    whole = found(finding, wanted, order)

    pages = [in_pages(finding, wanted, order)]
    monkeypatch.setattr("service.storage.finding.RARE", 2)
    pages.append(in_pages(finding, wanted, order))

    assert len(set(whole)) == 9
    assert pages == [whole, whole]


def in_pages(finding: Finding, wanted: Filter, order: Order) -> list[str]:
    after, ids = "", []
    while True:
        page = finding.find(None, wanted, order, limit=2, after=after).page
        ids += [item.comment.id for item in page.items]
        after = page.after
        if not after:
            return ids


def test_orders(finding: Finding, say: Say) -> None:
    sure, doubtful, risky = say(spam=0.02), say(spam=0.45), say(spam=0.97)

    assert found(finding, Filter(), Order.OLDEST) == [sure, doubtful, risky]
    assert found(finding, Filter(), Order.NEWEST) == [risky, doubtful, sure]
    assert found(finding, Filter(), Order.RISKIEST) == [risky, doubtful, sure]
    assert found(finding, Filter(), Order.UNSURE)[0] == doubtful


@pytest.mark.parametrize(
    "after", ["x", "é", "bnVsbA", "W10", "WyJvbGRlc3QiLG51bGwsIngiXQ", "=" * 9]
)
def test_a_cursor_nobody_gave_is_refused(finding: Finding, after: str) -> None:
    with pytest.raises(BadCursor):
        finding.find(None, Filter(), Order.OLDEST, limit=2, after=after)
    with pytest.raises(BadCursor):
        Passed(finding._store).find(None, "accepted", Filter(), limit=2, after=after)


def test_a_cursor_of_another_order_is_refused(finding: Finding, say: Say) -> None:
    say(), say(), say()
    finding.catch_up()
    after = finding.find(None, Filter(), Order.OLDEST, limit=2).page.after

    with pytest.raises(BadCursor):
        finding.find(None, Filter(), Order.NEWEST, limit=2, after=after)


# ------------------------------------------------------------------ kept beside the queue


def test_traits_come_and_go_with_what_waits(
    store: Store, finding: Finding, clock: Clock, say: Say
) -> None:
    one = say("nước")
    assert finding.catch_up() == 0
    store.decide(None, one, accept(clock()))
    with store.reads() as connection:
        assert connection.execute(sa.select(waiting)).all() == []
        assert connection.execute(sa.select(waiting_texts)).all() == []

    store.undo(None, one, moderator="ann")

    assert found(finding, looking_for("nuoc")) == [one]


def test_catching_up_goes_as_far_as_it_is_let(
    store: Store, finding: Finding, site: Site, clock: Clock
) -> None:
    put(store, *many(450, site, clock))

    assert finding.catch_up(most=200) == 250
    assert finding.catch_up(most=200) == 50
    assert finding.catch_up() == 0
    assert finding.find(None, Filter(), Order.OLDEST, limit=1).count == Count(450)


def test_catching_up_gives_way_after_each_comment_and_keeps_none_from_being_written(
    store: Store, finding: Finding, site: Site, clock: Clock
) -> None:
    put(store, *many(5, site, clock))
    meanwhile: list[str] = []

    left = catch_up(
        store,
        most=5,
        at_once=2,
        pause=lambda: meanwhile.extend(put(store, *many(1, site, clock))),
    )

    assert (left, len(meanwhile)) == (0, 6)
    assert finding.catch_up() == 0
    assert finding.find(None, Filter(), Order.OLDEST, limit=1).count == Count(11)


def test_a_histogram_knows_scores_and_how_sure_the_machine_was(finding: Finding, say: Say) -> None:
    say(spam=0.0), say(spam=0.049), say(spam=1.0, code="score.spam_likely")
    say(spam=0.5, code="score.spam_unsure")
    finding.catch_up()

    bins = finding.histogram(None, Filter(first=3, last=4))
    toxicity = finding.histogram(None, Filter(head=Head.TOXICITY))

    assert (bins[0], bins[10], bins[BINS - 1]) == ((2, 0, 0), (0, 1, 0), (0, 0, 1))
    assert toxicity[2] == (4, 0, 0)


def test_an_act_s_comments_are_told_apart(
    store: Store, finding: Finding, site: Site, clock: Clock, say: Say
) -> None:
    ids = [say("Bài viết này hay quá là hay", code=f"score.spam_{how}") for how in ("likely",) * 2]
    finding.catch_up()
    act = Acts(store).plan(None, ids, accept(clock()), kind="bulk")

    assert finding.breakdown(None, act.id) == [Part(site.id, Band.SPAM, "vi", 2)]
    assert finding.breakdown([], act.id) == []


# ------------------------------------------------------------------ what does not wait


def test_what_does_not_wait_is_looked_through_from_the_newest(
    store: Store, finding: Finding, site: Site, clock: Clock
) -> None:
    accepted = put(store, *many(3, site, clock), by=replace(VERDICT, outcome=Outcome.ACCEPT))
    rejected = put(store, *many(2, site, clock), by=replace(VERDICT, outcome=Outcome.REJECT))
    decided = put(store, *many(2, site, clock))
    for one in decided:
        store.decide(None, one, reject(clock()))
    passed = Passed(store)

    def of(state: str, wanted: Filter, after: str = "") -> tuple[list[str], str]:
        page = passed.find([site.id], state, wanted, limit=2, after=after).page
        return [item.comment.id for item in page.items], page.after

    first, after = of("accepted", Filter())
    assert (first, of("accepted", Filter(), after)) == (accepted[:0:-1], ([accepted[0]], ""))
    assert of("rejected", looking_for("hay qua"))[0] == rejected[::-1]
    assert set(of("decided", Filter(language="vi"))[0]) == set(decided)
    assert of("accepted", looking_for("nothing")) == ([], "")
    assert passed.find([], "decided", Filter(), limit=2).page.items == ()
