"""What is new on the desk, who looks at what, and what is around a comment."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from model.decision import Decision
from model.policy import Policy
from model.submission import Submission
from service.storage import Role, Site, Store, StoredComment, UnknownComment
from service.storage.claims import LIFETIME, Claims
from service.storage.context import context_of
from service.storage.news import MOST_CHANGES, NewsDesk
from tests.storage.cases import SUBMISSION, Clock, accept, asked, put, record, reject, submission

Opened = Callable[[], Store]


@pytest.fixture
def waiting(store: Store, site: Site, clock: Clock) -> StoredComment:
    (comment,) = record(store, asked(site, clock()))
    clock.advance(minutes=5)
    return comment


def told(store: Store, marks: Mapping[str, int], clock: Clock) -> list[tuple[str, str, str | None]]:
    news = NewsDesk(store).since(marks, clock())
    return [
        (one.comment_id, one.moderator, one.decision.outcome.word if one.decision else None)
        for one in news.changes
    ]


# ------------------------------------------------------------------ news


def test_decisions_and_undos_are_news_once_and_in_order(
    open_store: Opened, store: Store, waiting: StoredComment, clock: Clock
) -> None:
    other = open_store()
    marks = NewsDesk(other).now(clock()).marks
    store.decide(None, waiting.id, reject(clock(), "bob"))
    store.undo(None, waiting.id, moderator="bob")
    store.decide(None, waiting.id, accept(clock(), "ann"))

    first = NewsDesk(other).since(marks, clock())
    again = told(other, first.marks, clock)

    assert [(c.moderator, c.decision and c.decision.outcome.word) for c in first.changes] == [
        ("bob", "reject"),
        ("bob", None),
        ("ann", "accept"),
    ]
    assert again == []


def test_the_news_of_a_site_are_told_as_its_own(
    store: Store, site: Site, waiting: StoredComment, clock: Clock
) -> None:
    shop, _ = store.add_site("shop", Policy())
    (in_shop,) = record(store, asked(shop, clock()))
    marks = NewsDesk(store).now(clock()).marks
    store.decide(None, waiting.id, accept(clock()))
    store.decide(None, in_shop.id, reject(clock()))
    store.undo(None, in_shop.id, moderator="bob")

    changes = NewsDesk(store).since(marks, clock()).changes

    assert {(c.site_id, c.comment_id, c.number) for c in changes} == {
        (site.id, waiting.id, 1),
        (shop.id, in_shop.id, 1),
        (shop.id, in_shop.id, 2),
    }


@pytest.mark.parametrize("behind", [-1, MOST_CHANGES + 1])
def test_too_much_news_and_marks_of_another_database_are_many(
    store: Store, site: Site, waiting: StoredComment, clock: Clock, behind: int
) -> None:
    store.decide(None, waiting.id, accept(clock()))

    news = NewsDesk(store).since({site.id: 1 - behind}, clock())

    assert news.many == {site.id}
    assert news.changes == ()
    assert news.marks == {site.id: 1}


def test_what_waits_since_lately_has_arrived(
    store: Store, site: Site, waiting: StoredComment, clock: Clock
) -> None:
    clock.advance(minutes=1)
    (new,) = record(store, asked(site, clock()))

    news = NewsDesk(store).since({}, clock())

    assert news.arrived == ((new.id, site.id),)


def test_only_what_waits_is_a_card_and_only_what_does_not_is_gone(
    store: Store, site: Site, waiting: StoredComment, clock: Clock
) -> None:
    (decided,) = record(store, asked(site, clock(), submission("Khác")))
    store.decide(None, decided.id, accept(clock()))
    desk, ids = NewsDesk(store), [waiting.id, decided.id, "x"]

    cards = [one for one in ids if desk.waiting(None, one)]

    assert cards == [waiting.id]
    assert [one.id for one in desk.of(None, ids)] == [decided.id]
    assert desk.waiting(frozenset(), waiting.id) is None
    assert desk.of(frozenset(), ids) == []


# ------------------------------------------------------------------ claims


def names(store: Store, *ids: str) -> list[str]:
    return [claim.moderator for claim in Claims(store).on(None, ids)]


@pytest.fixture
def people(store: Store) -> dict[str, str]:
    return {name: store.add_moderator(name, Role.MODERATOR).id for name in ("lan", "mai")}


def test_a_claim_is_of_one_comment_and_moves_with_its_moderator(
    store: Store, site: Site, waiting: StoredComment, clock: Clock, people: dict[str, str]
) -> None:
    (other,) = record(store, asked(site, clock(), submission("Khác")))
    claims = Claims(store)
    claims.claim(None, waiting.id, moderator_id=people["lan"])
    claims.claim(None, waiting.id, moderator_id=people["mai"])
    both = names(store, waiting.id)

    claims.claim(None, other.id, moderator_id=people["mai"])

    assert sorted(both) == ["lan", "mai"]
    assert (names(store, waiting.id), names(store, other.id)) == (["lan"], ["mai"])
    claims.leave(moderator_id=people["mai"])
    assert names(store, waiting.id, other.id) == ["lan"]


@pytest.mark.parametrize(
    ("seconds", "holds"),
    [
        (0, True),
        (LIFETIME.total_seconds() - 1, True),
        (LIFETIME.total_seconds(), False),
        (-3600, False),  # a clock that was put back by an hour
    ],
)
def test_a_claim_ends_by_itself(
    store: Store,
    waiting: StoredComment,
    clock: Clock,
    people: dict[str, str],
    seconds: float,
    holds: bool,
) -> None:
    Claims(store).claim(None, waiting.id, moderator_id=people["lan"])

    clock.advance(seconds=seconds)

    assert bool(names(store, waiting.id)) is holds


def test_what_does_not_wait_or_is_elsewhere_cannot_be_claimed(
    store: Store, waiting: StoredComment, clock: Clock, people: dict[str, str]
) -> None:
    claims = Claims(store)
    for sites, comment_id in ((frozenset({"x"}), waiting.id), (None, "x"), (frozenset(), "")):
        with pytest.raises(UnknownComment):
            claims.claim(sites, comment_id, moderator_id=people["lan"])
    store.decide(None, waiting.id, accept(clock()))

    with pytest.raises(UnknownComment):
        claims.claim(None, waiting.id, moderator_id=people["lan"])
    assert names(store, waiting.id) == []


# ------------------------------------------------------------------ context


def said(content: str, name: str = "An", email: str = "", **more: str) -> Submission:
    sent = submission(content, name=name, email=email)
    return replace(sent, parent_id="", external_id="", **more)  # type: ignore[arg-type]


def spoken(store: Store, site: Site, clock: Clock, *sent: Submission) -> list[str]:
    ids = []
    for one in sent:
        clock.advance(minutes=1)
        ids += put(store, asked(site, clock(), one))
    return ids


def test_the_thread_has_the_parent_the_replies_and_the_nearest_of_the_article(
    store: Store, site: Site, clock: Clock
) -> None:
    parent = replace(said("Gốc"), external_id="wp-1")
    this = replace(said("Này"), parent_id="wp-1", external_id="wp-2")
    ids = spoken(
        store,
        site,
        clock,
        parent,
        *(said(f"Trước {n}") for n in range(5)),
        this,
        said("Sau"),
        replace(said("Đáp"), parent_id="wp-2"),
        replace(said("Bài khác"), permalink="https://x.example/"),
    )

    found = context_of(store, None, ids[6])

    assert found is not None
    assert found.parent is not None
    assert found.parent.submission.content == "Gốc"
    assert [c.submission.content for c in found.before] == [f"Trước {n}" for n in range(1, 5)]
    assert [c.submission.content for c in found.after] == ["Sau"]
    assert [c.submission.content for c in found.replies] == ["Đáp"]


def test_the_author_s_and_the_same_texts_begin_with_the_newest(
    store: Store, site: Site, clock: Clock
) -> None:
    ids = spoken(
        store,
        site,
        clock,
        said("Một", email="a@b.example"),
        said("Hai", email="A@b.example"),
        said("Hai", name="Bình"),
        said("Ba", name="Bình"),
    )
    store.decide(None, ids[0], Decision(accept(clock()).outcome, None, "ann", clock()))

    of_hai, of_ba = (context_of(store, None, one) for one in (ids[1], ids[3]))

    assert of_hai is not None
    assert of_ba is not None
    assert [(c.submission.content, c.decision is not None) for c in of_hai.of_author] == [
        ("Một", True)
    ]
    assert [c.submission.author.name for c in of_hai.alike] == ["Bình"]
    assert (of_ba.has_author, of_ba.of_author, of_ba.alike) == (False, (), ())


def test_no_context_shows_another_site(store: Store, site: Site, clock: Clock) -> None:
    shop, _ = store.add_site("shop", Policy())
    (here,) = spoken(store, site, clock, SUBMISSION)
    there = spoken(store, shop, clock, SUBMISSION, SUBMISSION)

    found = context_of(store, frozenset({site.id}), here)

    assert found is not None
    assert (found.before, found.after, found.of_author, found.alike) == ((), (), (), ())
    assert context_of(store, frozenset({site.id}), there[0]) is None
    assert context_of(store, None, "\0") is None
