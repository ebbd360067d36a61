"""Sites, keys, policies; moderators, links, sessions."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from model.outcome import Outcome
from model.policy import Policy
from service.storage import (
    Moderator,
    NameTaken,
    Role,
    Site,
    Store,
    UnknownModerator,
    UnknownSite,
)
from tests.storage.cases import Clock

STRICT = Policy(effects={"links.many": Outcome.REJECT}, audit_rate=0.05)


def test_a_site_is_found_by_its_key(store: Store) -> None:
    site, key = store.add_site("blog", STRICT)

    assert store.site_of_key(key) == site
    assert (site.policy, site.policy_version) == (STRICT, STRICT.version)
    assert store.sites() == [site]


@pytest.mark.parametrize("key", ["", "dk_", "dk_wrong", "é\ud800", "x" * 10_000])
def test_a_wrong_key_is_nobodys(store: Store, site: Site, key: str) -> None:
    assert store.site_of_key(key) is None


def test_a_name_is_taken_once(store: Store, site: Site) -> None:
    with pytest.raises(NameTaken):
        store.add_site(site.name, Policy())

    assert store.sites() == [site]


def test_a_rotated_key_ends_at_once(store: Store) -> None:
    site, old = store.add_site("blog", Policy())

    new = store.rotate_key(site.id)

    assert store.site_of_key(old) is None
    assert store.site_of_key(new) == site


def test_an_old_key_may_be_kept_for_a_while(store: Store, clock: Clock) -> None:
    site, old = store.add_site("blog", Policy())
    store.rotate_key(site.id, keep_old_for=timedelta(days=1))

    clock.advance(hours=23)
    kept = store.site_of_key(old)
    clock.advance(hours=1)

    assert kept == site
    assert store.site_of_key(old) is None


def test_a_second_rotation_does_not_lengthen_a_keys_life(store: Store, clock: Clock) -> None:
    site, old = store.add_site("blog", Policy())
    store.rotate_key(site.id, keep_old_for=timedelta(hours=1))
    store.rotate_key(site.id, keep_old_for=timedelta(days=9))

    clock.advance(hours=2)

    assert store.site_of_key(old) is None


def test_of_a_key_only_its_beginning_is_told(store: Store, clock: Clock) -> None:
    site, key = store.add_site("blog", Policy())

    (told,) = store.keys_of(site.id)

    assert (told.prefix, told.created_at, told.revoked_at) == (key[:7], clock(), None)
    assert len(key) > 40


def test_a_policy_set_leaves_the_earlier_one_readable(store: Store, site: Site) -> None:
    changed = store.set_policy(site.id, STRICT)

    assert store.site(site.id) == changed
    assert (changed.policy, changed.policy_version) == (STRICT, STRICT.version)
    assert store.policy(site.id, site.policy_version) == site.policy
    assert store.set_policy(site.id, site.policy) == site


def test_a_policy_of_another_site_is_not_there(store: Store, site: Site) -> None:
    other, _ = store.add_site("other", STRICT)

    assert store.policy(site.id, STRICT.version) is None
    assert store.policy(other.id, STRICT.version) == STRICT


def test_an_unknown_site_is_refused(store: Store) -> None:
    acts: list[Callable[[], object]] = [
        lambda: store.site("none"),
        lambda: store.rotate_key("none"),
        lambda: store.set_policy("none", Policy()),
    ]

    for act in acts:
        with pytest.raises(UnknownSite):
            act()


def test_changes_to_sites_are_on_record(store: Store, site: Site) -> None:
    store.rotate_key(site.id, by="ann")
    store.set_policy(site.id, STRICT, by="bob@blog.example")

    events = store.events([site.id])

    assert [(event.kind, event.actor) for event in events] == [
        ("site_added", "operator"),
        ("key_rotated", "ann"),
        ("policy_set", "b•••@blog.example"),
    ]
    assert store.events(None, after=events[-2].number) == events[-1:]


# ------------------------------------------------------------------ moderators


@pytest.fixture
def ann(store: Store) -> Moderator:
    return store.add_moderator("ann", Role.ADMIN)


def test_a_link_opens_a_session(store: Store, ann: Moderator) -> None:
    link = store.new_sign_in_link(ann.id, timedelta(hours=1))

    session = store.use_sign_in_link(link)

    assert session is not None
    assert store.session(session) == ann
    assert store.moderators() == [ann]


def test_a_link_works_once(store: Store, ann: Moderator) -> None:
    link = store.new_sign_in_link(ann.id, timedelta(hours=1))
    store.use_sign_in_link(link)

    assert store.use_sign_in_link(link) is None


def test_of_many_who_use_a_link_at_once_one_gets_in(
    open_store: Callable[[], Store], store: Store, ann: Moderator
) -> None:
    link = store.new_sign_in_link(ann.id, timedelta(hours=1))
    together = threading.Barrier(4)
    sessions: list[str | None] = []

    def run(one: Store) -> None:
        one.ping()
        together.wait()
        sessions.append(one.use_sign_in_link(link))

    threads = [threading.Thread(target=run, args=(open_store(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(sessions) == 4
    assert sum(session is not None for session in sessions) == 1


def test_an_expired_link_opens_nothing(store: Store, ann: Moderator, clock: Clock) -> None:
    link = store.new_sign_in_link(ann.id, timedelta(hours=1))
    clock.advance(hours=1)

    assert store.use_sign_in_link(link) is None


def test_a_session_expires_and_can_be_ended(store: Store, ann: Moderator, clock: Clock) -> None:
    links = [store.new_sign_in_link(ann.id, timedelta(hours=1)) for _ in range(2)]
    ended, expired = (store.use_sign_in_link(link, lifetime=timedelta(hours=2)) for link in links)
    assert ended is not None
    assert expired is not None

    store.end_session(ended)
    before = (store.session(ended), store.session(expired))
    clock.advance(hours=2)

    assert before == (None, ann)
    assert store.session(expired) is None


@pytest.mark.parametrize("token", ["", "wrong", "\ud800"])
def test_a_wrong_token_is_nobodys(store: Store, ann: Moderator, token: str) -> None:
    store.end_session(token)

    assert store.session(token) is None
    assert store.use_sign_in_link(token) is None


def test_moderators_have_names_of_their_own(store: Store, ann: Moderator) -> None:
    with pytest.raises(NameTaken):
        store.add_moderator("ann", Role.MODERATOR)
    with pytest.raises(UnknownModerator):
        store.new_sign_in_link("nobody", timedelta(hours=1))
