"""Campaigns in both databases: found, decided as one, followed for a time, taken back."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from model.decision import Decision, ReportKind
from model.outcome import Outcome
from model.policy import Policy
from service.campaigns import CampaignFinder
from service.storage import NothingToUndo, Site, Store, UnknownComment
from service.storage.campaign_views import views_of
from service.storage.campaigns import Campaign, Campaigns, Settled, UnknownCampaign
from tests.storage.cases import VERDICT, Clock, accept, asked, found, put, reject, submission

WORDS = (
    "Mình vừa rút được 12 triệu sau ba ngày chơi ở đây, nạp rút nhanh gọn, hỗ trợ nhiệt tình, "
    "anh em nào cần thì nhắn mình chỉ cho cách vào nhé"
)
DAY = timedelta(hours=24)


def copies(store: Store, site: Site, clock: Clock, count: int, *, start: int = 0) -> list[str]:
    """Nearly the same words, each from an author of its own."""
    ids = []
    for n in range(start, start + count):
        clock.advance(seconds=1)
        sent = submission(f"{WORDS} {n}", name=f"Tên {n}", email=f"t{n}@mail.example")
        ids += put(store, asked(site, clock(), sent))
    return ids


@pytest.fixture
def finder(store: Store) -> CampaignFinder:
    return CampaignFinder(store)


@pytest.fixture
def campaigns(store: Store) -> Campaigns:
    return Campaigns(store)


@pytest.fixture
def ids(store: Store, site: Site, clock: Clock) -> list[str]:
    return copies(store, site, clock, 6)


@pytest.fixture
def campaign(campaigns: Campaigns, finder: CampaignFinder, ids: list[str]) -> Campaign:
    finder.turn()
    (only,) = campaigns.open(None, limit=10)
    return only


def test_what_waits_is_found_once(
    store: Store, campaigns: Campaigns, finder: CampaignFinder, ids: list[str], site: Site
) -> None:
    looked = finder.turn(), finder.turn()

    (only,) = campaigns.open({site.id}, limit=10)
    assert looked == (6, 0)
    assert (only.waiting, only.members, only.newest, only.act) == (6, 6, ids[-1], None)
    assert [item.comment.id for item in campaigns.page(None, only.id)] == ids
    (view,) = views_of(store, [only.ids], None)
    assert [item.comment.id for item in view.samples] == [ids[0], *ids[-2:]]
    assert (sum(view.spread.bands.values()), view.spread.languages) == (6, 1)
    assert [e.kind for e in store.events(None)].count("campaign_found") == 1


def test_a_turn_that_failed_half_way_is_done_again_whole(
    store: Store, campaigns: Campaigns, ids: list[str]
) -> None:
    answers = iter([*[None] * 4, KeyError("the fifth comment")])

    def pause() -> None:
        answer = next(answers, None)
        if answer is not None:
            raise answer

    finder = CampaignFinder(store, pause=pause)
    with pytest.raises(KeyError):
        finder.turn()
    finder.turn()

    assert [c.waiting for c in campaigns.open(None, limit=10)] == [len(ids)]


def test_a_new_campaign_takes_nothing_that_belongs_to_an_earlier_one(
    store: Store, campaigns: Campaigns, finder: CampaignFinder, site: Site, clock: Clock
) -> None:
    for n in range(5):
        clock.advance(seconds=1)
        sent = submission(
            f"{WORDS} https://vay-nhanh.example/{n}", name=f"Tên {n}", email=f"t{n}@mail.example"
        )
        put(store, asked(site, clock(), sent))
    finder.turn()

    assert [c.waiting for c in campaigns.open(None, limit=10)] == [5]


def test_one_decision_settles_what_was_seen_and_no_more(
    store: Store, campaigns: Campaigns, campaign: Campaign, ids: list[str], clock: Clock
) -> None:
    act = campaigns.decide(None, campaign.id, reject(clock()), upto=ids[3], follow_for=timedelta(0))

    assert act.decided == 4
    assert [found(store, one).state for one in ids] == [Outcome.REJECT] * 4 + [Outcome.QUEUE] * 2
    assert campaigns.campaign(None, campaign.id).waiting == 2


def test_arrivals_follow_for_the_time_that_was_said(
    store: Store,
    site: Site,
    campaigns: Campaigns,
    campaign: Campaign,
    finder: CampaignFinder,
    clock: Clock,
) -> None:
    campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)
    (soon,) = copies(store, site, clock, 1, start=50)
    finder.turn()
    clock.advance(hours=25)
    (late,) = copies(store, site, clock, 1, start=60)
    finder.turn()

    assert found(store, soon).state is Outcome.REJECT
    assert [d.moderator for d in [found(store, soon).decision] if d] == ["bob"]
    assert found(store, late).state is Outcome.QUEUE
    act = campaigns.campaign(None, campaign.id).act
    assert act is not None
    assert act.decided == 7


def test_what_followed_is_no_label_and_teaches_nothing(
    store: Store,
    site: Site,
    campaigns: Campaigns,
    campaign: Campaign,
    finder: CampaignFinder,
    clock: Clock,
) -> None:
    campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)
    copies(store, site, clock, 3, start=50)
    finder.turn()

    last = store.changes(site.id).last
    taught = store.decided(site.id, after=0, upto=last, undone_upto=last, limit=100)

    assert last == 9
    assert len(taught) == 6
    assert len({one.id for one in store.labelled()}) == 6


def test_one_undo_brings_back_all_and_nothing_follows_any_more(
    store: Store,
    site: Site,
    campaigns: Campaigns,
    campaign: Campaign,
    finder: CampaignFinder,
    ids: list[str],
    clock: Clock,
) -> None:
    before = [found(store, one) for one in ids]
    campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)
    followed = copies(store, site, clock, 1, start=50)
    finder.turn()

    campaigns.undo(None, campaign.id, moderator="bob", only_own=True)
    later = copies(store, site, clock, 1, start=60)
    finder.turn()

    assert [found(store, one) for one in ids] == before
    assert {found(store, one).state for one in followed + later} == {Outcome.QUEUE}
    again = campaigns.campaign(None, campaign.id)
    assert (again.waiting, again.act) == (8, None)
    with pytest.raises(NothingToUndo):
        campaigns.undo(None, campaign.id, moderator="bob", only_own=True)


def test_following_can_be_stopped_and_begun_again(
    store: Store,
    site: Site,
    campaigns: Campaigns,
    campaign: Campaign,
    finder: CampaignFinder,
    clock: Clock,
) -> None:
    campaigns.decide(None, campaign.id, accept(clock()), upto=campaign.newest, follow_for=DAY)
    campaigns.follow_until(None, campaign.id, clock(), moderator="ann")
    (stopped,) = copies(store, site, clock, 1, start=50)
    finder.turn()
    campaigns.follow_until(None, campaign.id, clock() + 90 * DAY, moderator="ann")
    (again,) = copies(store, site, clock, 1, start=51)
    finder.turn()

    assert found(store, stopped).state is Outcome.QUEUE
    assert found(store, again).state is Outcome.ACCEPT
    until = campaigns.campaign(None, campaign.id).follows_until
    assert until is not None
    assert until < clock() + 8 * DAY


def test_another_process_goes_on_where_one_was_killed(
    store: Store, site: Site, campaigns: Campaigns, campaign: Campaign, clock: Clock
) -> None:
    other = CampaignFinder(store)
    while_held = other.turn()
    campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)
    clock.advance(minutes=1)
    (new,) = copies(store, site, clock, 1, start=50)

    after = other.turn()

    assert (while_held, after) == (0, 1)
    assert found(store, new).state is Outcome.REJECT


def test_no_other_process_takes_over_while_much_is_loaded(
    store: Store, site: Site, finder: CampaignFinder, clock: Clock
) -> None:
    copies(store, site, clock, 60)
    finder.turn()
    clock.advance(minutes=1)
    slow = CampaignFinder(store, pause=lambda: clock.advance(seconds=1))

    slow.turn()

    assert finder.turn() == 0
    copies(store, site, clock, 1, start=100)
    assert slow.turn() == 1


def test_a_reader_who_was_published_before_is_in_no_campaign(
    store: Store, site: Site, campaigns: Campaigns, finder: CampaignFinder, clock: Clock
) -> None:
    reader = submission("Tôi đồng ý với tác giả.", name="Lan", email="lan@mail.example")
    (earlier,) = put(store, asked(site, clock(), reader))
    store.decide(None, earlier, accept(clock()))
    genuine = replace(reader, content=WORDS)
    (original,) = put(store, asked(site, clock(), genuine))
    copied = copies(store, site, clock, 5)

    finder.turn()

    (only,) = campaigns.open(None, limit=10)
    assert [item.comment.id for item in campaigns.page(None, only.id)] == copied
    assert original not in copied


def test_what_was_published_and_reported_is_in_no_campaign(
    store: Store, site: Site, campaigns: Campaigns, finder: CampaignFinder, clock: Clock
) -> None:
    genuine = submission(WORDS, name="Lan", email="lan@mail.example")
    published = replace(VERDICT, outcome=Outcome.ACCEPT)
    (original,) = put(store, asked(site, clock(), genuine), by=published)
    store.report(None, original, ReportKind.SPAM)
    copied = copies(store, site, clock, 5)

    finder.turn()

    (only,) = campaigns.open(None, limit=10)
    assert [item.comment.id for item in campaigns.page(None, only.id)] == copied


def test_of_two_who_decide_at_once_one_that_decided_something_is_followed(
    store: Store, campaigns: Campaigns, campaign: Campaign, clock: Clock
) -> None:
    def press(decision: Decision) -> Settled:
        return Campaigns(store).decide(
            None, campaign.id, decision, upto=campaign.newest, follow_for=DAY
        )

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(_or_none(press), [accept(clock()), reject(clock())]))

    stands = campaigns.campaign(None, campaign.id).act
    assert sum(act.decided for act in both if act is not None) == 6
    assert stands is not None
    assert stands.decided > 0


def _or_none(press: Callable[[Decision], Settled]) -> Callable[[Decision], Settled | None]:
    """A press that came when nothing waited any more is none."""

    def pressed(decision: Decision) -> Settled | None:
        try:
            return press(decision)
        except UnknownComment:
            return None

    return pressed


def test_one_that_does_not_belong_is_taken_out_and_stays_out(
    store: Store,
    campaigns: Campaigns,
    campaign: Campaign,
    finder: CampaignFinder,
    ids: list[str],
    clock: Clock,
) -> None:
    campaigns.leave(None, campaign.id, ids[2], moderator="ann")
    finder.turn()
    act = campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)
    finder.turn()

    assert act.decided == 5
    assert found(store, ids[2]).state is Outcome.QUEUE
    with pytest.raises(UnknownComment):
        campaigns.leave(None, campaign.id, ids[2], moderator="ann")


def test_another_sites_campaign_is_not_there(
    store: Store, campaigns: Campaigns, campaign: Campaign, ids: list[str], clock: Clock
) -> None:
    other, _ = store.add_site("other", Policy())
    theirs = {other.id}

    assert campaigns.open(theirs, limit=10) == []
    for act in (
        lambda: campaigns.campaign(theirs, campaign.id),
        lambda: campaigns.page(theirs, campaign.id),
        lambda: campaigns.decide(
            theirs, campaign.id, reject(clock()), upto=ids[-1], follow_for=DAY
        ),
        lambda: campaigns.undo(theirs, campaign.id, moderator="eve", only_own=False),
        lambda: campaigns.leave(theirs, campaign.id, ids[0], moderator="eve"),
        lambda: campaigns.follow_until(theirs, campaign.id, clock(), moderator="eve"),
        lambda: campaigns.campaign(None, "\0"),
    ):
        with pytest.raises(UnknownCampaign):
            act()


def test_the_same_words_on_two_sites_are_two(
    store: Store, site: Site, campaigns: Campaigns, finder: CampaignFinder, clock: Clock
) -> None:
    other, _ = store.add_site("other", Policy())
    copies(store, site, clock, 2)
    copies(store, other, clock, 3)

    finder.turn()

    (only,) = campaigns.open(None, limit=10)
    assert (only.site_id, only.waiting) == (other.id, 3)


def test_what_was_decided_by_others_meanwhile_is_left(
    store: Store, campaigns: Campaigns, campaign: Campaign, ids: list[str], clock: Clock
) -> None:
    store.decide(None, ids[0], accept(clock(), by="lan"))

    act = campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)

    assert act.decided == 5
    assert found(store, ids[0]).decision == accept(clock(), by="lan")


def test_a_campaign_of_which_nothing_waits_cannot_be_decided(
    campaigns: Campaigns, campaign: Campaign, clock: Clock
) -> None:
    campaigns.decide(None, campaign.id, reject(clock()), upto=campaign.newest, follow_for=DAY)

    with pytest.raises(UnknownComment):
        campaigns.decide(None, campaign.id, accept(clock()), upto=campaign.newest, follow_for=DAY)


def test_what_a_campaign_holds_is_found_by_its_index(
    store: Store, campaigns: Campaigns, campaign: Campaign
) -> None:
    asked_for: list[tuple[str, object]] = []
    with store.reads() as connection:
        if connection.dialect.name != "sqlite":
            return  # PostgreSQL reads a small table as a whole, whatever there is
        engine = connection.engine

    def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
        asked_for.append((statement, values))

    sa.event.listen(engine, "before_cursor_execute", note)
    views_of(store, [campaign.ids], None)
    campaigns.all_open(None)
    campaigns.campaign(None, campaign.id)
    sa.event.remove(engine, "before_cursor_execute", note)

    by_campaign = [(s, v) for s, v in asked_for if re.search(r"waiting\.campaign (=|IN|>)", s)]
    with store.reads() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", v).all())  # type: ignore[arg-type]
            for s, v in by_campaign
        ]
    assert len(plans) >= 3
    assert all("ix_waiting_campaign" in plan for plan in plans)


# ------------------------------------------------------------------ of several sites


@pytest.fixture
def other(store: Store) -> Site:
    return store.add_site("other", Policy())[0]


@pytest.fixture
def shared(
    store: Store, site: Site, other: Site, clock: Clock, finder: CampaignFinder
) -> list[str]:
    """Three copies on the first site, then one on the other; both allow to see them as one."""
    for one in (site, other):
        Campaigns(store).share(one.id, allowed=True, by="ann")
    ids = copies(store, site, clock, 3) + copies(store, other, clock, 1, start=10)
    finder.turn()
    return ids


def test_the_same_words_on_two_sites_that_allow_it_are_one_decided_and_undone_as_one(
    store: Store,
    campaigns: Campaigns,
    finder: CampaignFinder,
    site: Site,
    other: Site,
    shared: list[str],
    clock: Clock,
) -> None:
    before = [found(store, one) for one in shared]
    (only,) = campaigns.open(None, limit=10)
    done = campaigns.decide(None, only.id, reject(clock()), upto=only.newest, follow_for=DAY)
    settled = {found(store, one).state for one in shared}
    stands = campaigns.campaign(None, only.id)
    campaigns.undo(None, only.id, moderator="bob", only_own=True)
    finder.turn()

    assert (only.waiting, set(only.sites)) == (4, {site.id, other.id})
    assert (done.decided, stands.decided, settled) == (4, 4, {Outcome.REJECT})
    assert [found(store, one) for one in shared] == before
    assert [one.waiting for one in campaigns.open(None, limit=10)] == [4]


def test_who_sees_one_of_the_sites_finds_what_there_would_be_without_the_other(
    store: Store, campaigns: Campaigns, site: Site, other: Site, shared: list[str], clock: Clock
) -> None:
    (whole,) = campaigns.open(None, limit=10)
    (mine,) = campaigns.open({site.id}, limit=10)
    theirs = campaigns.open({other.id}, limit=10)
    parts = dict(zip(whole.sites, whole.ids, strict=True))
    campaigns.decide(None, mine.id, reject(clock()), upto=whole.newest, follow_for=DAY)

    assert (mine.waiting, mine.sites, theirs) == (3, (site.id,), [])
    assert campaigns.campaign({site.id}, mine.id).decided == 3
    with pytest.raises(UnknownCampaign):
        campaigns.campaign({other.id}, parts[other.id])
    told = [e.kind for e in store.events({other.id}) if "campaign" in f"{e.kind} {e.body}"]
    assert told == ["campaigns_shared"]
    assert campaigns.decided({other.id}, limit=10) == []


def test_one_press_settles_what_its_maker_may_decide(
    store: Store, campaigns: Campaigns, site: Site, other: Site, shared: list[str], clock: Clock
) -> None:
    (only,) = campaigns.open(None, limit=10)
    done = campaigns.decide(
        {other.id}, only.id, reject(clock()), upto=only.newest, follow_for=DAY, seen_on={site.id}
    )

    assert done.decided == 1
    assert [found(store, one).state for one in shared] == [Outcome.QUEUE] * 3 + [Outcome.REJECT]
    (view,) = views_of(store, [only.ids], {other.id})
    assert view.may_decide == 0
    assert sum(view.spread.bands.values()) == 3


def test_what_is_one_with_another_site_only_is_followed_once_it_is_one_by_itself(
    store: Store,
    campaigns: Campaigns,
    finder: CampaignFinder,
    other: Site,
    shared: list[str],
    clock: Clock,
) -> None:
    (only,) = campaigns.open(None, limit=10)
    campaigns.decide(None, only.id, reject(clock()), upto=only.newest, follow_for=DAY)
    later = copies(store, other, clock, 2, start=20)
    finder.turn()
    few = [found(store, one).state for one in later]
    more = copies(store, other, clock, 2, start=30)
    finder.turn()
    last = copies(store, other, clock, 1, start=40)
    finder.turn()

    assert set(few) == {Outcome.QUEUE}
    assert {found(store, one).state for one in last} == {Outcome.REJECT}
    assert len(more) == 2


def test_what_is_not_allowed_any_more_is_each_sites_own_again(
    store: Store, campaigns: Campaigns, finder: CampaignFinder, other: Site, shared: list[str]
) -> None:
    campaigns.share(other.id, allowed=False, by="ann")
    finder.turn()
    (apart,) = campaigns.open(None, limit=10)
    campaigns.share(other.id, allowed=True, by="ann")
    CampaignFinder(store).turn()
    (whole,) = campaigns.open(None, limit=10)

    assert (apart.waiting, whole.waiting) == (3, 4)


def test_one_copy_on_each_of_three_sites_is_one_for_who_sees_them_all(
    store: Store, campaigns: Campaigns, finder: CampaignFinder, site: Site, clock: Clock
) -> None:
    sites = [site, *(store.add_site(name, Policy())[0] for name in ("b", "c"))]
    for n, one in enumerate(sites):
        copies(store, one, clock, 1, start=n)
    finder.turn()
    apart = campaigns.open(None, limit=10)
    for one in sites:
        campaigns.share(one.id, allowed=True, by="ann")
    finder.turn()

    assert apart == []
    assert [c.waiting for c in campaigns.open({one.id for one in sites}, limit=10)] == [3]
    assert campaigns.open({one.id for one in sites[:2]}, limit=10) == []
