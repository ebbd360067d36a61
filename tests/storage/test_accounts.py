"""Passwords, one-time codes, sessions, people and the throttle, on both databases."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from model.policy import Policy
from service.keyring import Keyring
from service.storage import NameTaken, Role, Site, Store, UnknownModerator, UnknownSite
from service.storage.accounts import STEP_SECONDS, Account, Accounts, codes_of, new_code_key
from service.storage.accounts_people import People
from service.storage.accounts_throttle import Limit, Throttle
from service.storage.errors import KeptElsewhere, LastAdmin
from service.storage.sign_in import Client
from tests.storage.cases import Clock

HOUR = timedelta(hours=1)
FIREFOX = Client("Firefox · Linux", "203.0.113.0/24")


@pytest.fixture
def accounts(store: Store) -> Accounts:
    return Accounts(store)


@pytest.fixture
def people(store: Store) -> People:
    return People(store)


@pytest.fixture
def other(store: Store) -> Site:
    site, _ = store.add_site("news", Policy())
    return site


def account_of(store: Store, name: str = "lan", role: Role = Role.MODERATOR) -> Account:
    store.add_moderator(name, role)
    found = Accounts(store).named(name)
    assert found is not None
    return found


def signed_in(store: Store, account: Account) -> str:
    token = Accounts(store).begin_session(account, FIREFOX, how="password")
    assert token is not None
    return token


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.events(None, limit=1000)]


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("written", ["lan", " LAN ", "Lan", "ｌａｎ"])
def test_a_name_is_found_however_it_is_written(
    store: Store, accounts: Accounts, written: str
) -> None:
    own = account_of(store)

    assert accounts.named(written) == own


@pytest.mark.parametrize(
    "taken", ["lan", "LAN", "ｌａｎ", "operator", "Operator", "Site  blog", "import wxr"]
)
def test_a_name_that_people_take_for_another_is_taken(store: Store, taken: str) -> None:
    account_of(store)

    with pytest.raises(NameTaken):
        store.add_moderator(taken, Role.VIEWER)


# ------------------------------------------------------------------ passwords and sessions


def test_a_new_password_ends_every_other_session_and_the_links(
    store: Store, accounts: Accounts
) -> None:
    own = account_of(store)
    before = [signed_in(store, own) for _ in range(2)]
    link = store.new_sign_in_link(own.moderator_id, HOUR)

    token = accounts.set_password(own, "$argon2id$1", client=FIREFOX)

    assert token is not None
    assert [store.session(one) for one in before] == [None, None]
    assert store.session(token) is not None
    assert store.use_sign_in_link(link) is None
    assert {"password_changed", "session_ended", "signed_in"} <= set(kinds(store))


def test_who_read_an_account_before_its_password_changed_is_too_late(
    store: Store, accounts: Accounts
) -> None:
    own = account_of(store)
    accounts.set_password(own, "$argon2id$1", client=FIREFOX)

    assert accounts.begin_session(own, FIREFOX, how="password") is None
    assert accounts.set_password(own, "$argon2id$2", client=FIREFOX) is None


def test_a_hash_is_renewed_only_while_it_is_the_one_that_was_checked(
    store: Store, accounts: Accounts
) -> None:
    own = account_of(store)
    accounts.set_password(own, "$argon2id$1", client=FIREFOX)

    accounts.rehash(replace(own, password="$argon2id$0"), "$argon2id$stale")
    accounts.rehash(replace(own, password="$argon2id$1"), "$argon2id$new")

    renewed = accounts.named("lan")
    assert renewed is not None
    assert renewed.password == "$argon2id$new"


def test_no_repr_shows_a_hash(store: Store) -> None:
    assert "argon2" not in repr(replace(account_of(store), password="$argon2id$1"))


def test_sessions_are_listed_and_ended_one_by_one(store: Store, accounts: Accounts) -> None:
    own, stranger = account_of(store), account_of(store, "an")
    tokens = [signed_in(store, own) for _ in range(3)]
    foreign = signed_in(store, stranger)
    [alien] = accounts.sessions_of(stranger.moderator_id)
    entered = [accounts.entered(token) for token in tokens]
    ids = [one.id for one in entered if one]

    listed = accounts.sessions_of(own.moderator_id)
    ended = accounts.end_session(own.moderator_id, ids[0])
    not_mine = accounts.end_session(own.moderator_id, alien.id)
    others = accounts.end_others(own.moderator_id, ids[1])

    assert {one.id for one in listed} == set(ids)
    assert {(one.browser, one.network) for one in listed} == {(FIREFOX.browser, FIREFOX.network)}
    assert (ended, not_mine, others) == (True, False, 1)
    assert [store.session(one) is not None for one in tokens] == [False, True, False]
    assert store.session(foreign) is not None


def test_a_session_lasts_while_it_is_seen_and_never_beyond_its_end(
    store: Store, accounts: Accounts, clock: Clock
) -> None:
    token = signed_in(store, account_of(store))

    alive = []
    for _ in range(5):
        clock.advance(hours=3)
        alive.append(accounts.entered(token) is not None)
        accounts.note_seen(token)

    assert alive == [True, True, True, False, False]


# ------------------------------------------------------------------ one-time codes


@pytest.fixture
def key() -> bytes:
    return new_code_key()


@pytest.fixture
def with_codes(store: Store, accounts: Accounts, clock: Clock, key: bytes) -> Account:
    own = account_of(store)
    made = accounts.turn_codes_on(own.moderator_id, key, code_at(key, clock))
    assert made is not None
    return own


def code_at(key: bytes, clock: Clock, *, steps: int = 0) -> str:
    return codes_of(key).generate(clock().timestamp() + steps * STEP_SECONDS).decode()


def test_a_code_works_once(
    accounts: Accounts, clock: Clock, key: bytes, with_codes: Account
) -> None:
    used_to_turn_on = accounts.use_code(with_codes.moderator_id, code_at(key, clock))
    clock.advance(seconds=STEP_SECONDS)

    answers = [accounts.use_code(with_codes.moderator_id, code_at(key, clock)) for _ in range(2)]

    assert (used_to_turn_on, answers) == (False, [True, False])


@pytest.mark.parametrize(
    ("steps", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_code_counts_a_step_around_now(
    accounts: Accounts, clock: Clock, key: bytes, with_codes: Account, steps: int, right: bool
) -> None:
    clock.advance(hours=1)

    assert accounts.use_code(with_codes.moderator_id, code_at(key, clock, steps=steps)) is right


def test_after_a_code_an_earlier_one_works_no_more(
    accounts: Accounts, clock: Clock, key: bytes, with_codes: Account
) -> None:
    clock.advance(hours=1)
    later = accounts.use_code(with_codes.moderator_id, code_at(key, clock, steps=1))

    assert later
    assert not accounts.use_code(with_codes.moderator_id, code_at(key, clock))


def test_of_many_who_use_a_code_at_once_one_has_it(
    open_store: Callable[[], Store], clock: Clock, key: bytes, with_codes: Account
) -> None:
    clock.advance(hours=1)
    code, together = code_at(key, clock), threading.Barrier(4)
    answers: list[bool] = []

    def run(one: Accounts) -> None:
        together.wait()
        answers.append(one.use_code(with_codes.moderator_id, code))

    threads = [threading.Thread(target=run, args=(Accounts(open_store()),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False, False, False, True]


def test_a_recovery_code_works_once_however_it_is_typed(
    store: Store, accounts: Accounts, clock: Clock, key: bytes
) -> None:
    own, stranger = account_of(store), account_of(store, "an")
    codes = accounts.turn_codes_on(own.moderator_id, key, code_at(key, clock))
    assert codes is not None
    typed = f" {codes[0].upper().replace('-', ' ')} "

    answers = [accounts.use_code(own.moderator_id, typed) for _ in range(2)]
    renewed = accounts.renew_recovery_codes(own.moderator_id)

    assert answers == [True, False]
    assert not accounts.use_code(own.moderator_id, codes[1])
    assert not accounts.use_code(stranger.moderator_id, renewed[0])
    assert len({*codes, *renewed}) == 20


@pytest.mark.parametrize("code", ["", "0", "abcdef", "é" * 6, "\ud800", "1" * 5000])
def test_a_wrong_code_is_wrong(accounts: Accounts, with_codes: Account, code: str) -> None:
    assert not accounts.use_code(with_codes.moderator_id, code)


def test_codes_are_turned_on_only_by_one_that_is_right(
    store: Store, accounts: Accounts, key: bytes
) -> None:
    own = account_of(store)

    assert accounts.turn_codes_on(own.moderator_id, key, "000000x") is None
    assert accounts.named("lan") == own


def test_the_key_of_codes_is_sealed_and_sealed_again(
    store: Store,
    accounts: Accounts,
    clock: Clock,
    key: bytes,
    keyring: Keyring,
    with_codes: Account,
) -> None:
    with store.reads() as connection:
        query = "SELECT totp_cipher FROM accounts WHERE totp_cipher IS NOT NULL"
        sealed = bytes(connection.exec_driver_sql(query).scalar_one())
    keyring.add_address_key()
    store.reencrypt_addresses()
    clock.advance(hours=1)

    assert key not in sealed
    assert key.hex().encode() not in sealed
    assert store.address_keys_in_use() == {2}
    assert accounts.use_code(with_codes.moderator_id, code_at(key, clock))


# ------------------------------------------------------------------ people


def test_an_admin_of_a_site_sees_its_people_alone(
    store: Store, people: People, site: Site, other: Site
) -> None:
    store.add_moderator("boss", Role.ADMIN)
    store.add_moderator("lan", Role.VIEWER, site_id=site.id)
    elsewhere = store.add_moderator("an", Role.ADMIN, site_id=other.id)

    assert [one.name for one in people.all([site.id])] == ["lan"]
    assert [one.name for one in people.all(None)] == ["an", "boss", "lan"]
    for site_ids in ([site.id], []):
        with pytest.raises(UnknownModerator):
            people.one(site_ids, elsewhere.id)


def test_an_admin_invites_on_their_own_sites_only(
    store: Store, people: People, site: Site, other: Site
) -> None:
    new, token = people.invite(
        [site.id], "lan", Role.MODERATOR, site_id=site.id, by="ann", lifetime=HOUR
    )
    for site_id in (other.id, ""):
        with pytest.raises(UnknownSite):
            people.invite([site.id], "an", Role.VIEWER, site_id=site_id, by="ann", lifetime=HOUR)

    session = store.use_sign_in_link(token)
    assert session is not None
    assert store.session(session) == new
    assert new.roles == {site.id: Role.MODERATOR}


def test_a_role_that_is_taken_is_gone_with_the_next_request(
    store: Store, people: People, site: Site
) -> None:
    lan = store.add_moderator("lan", Role.ADMIN, site_id=site.id)
    session = store.use_sign_in_link(store.new_sign_in_link(lan.id, HOUR))
    assert session is not None

    was = people.set_role([site.id], lan.id, site.id, None, by="ann")

    now = store.session(session)
    assert (was, now and now.roles) == (Role.ADMIN, {})
    [event] = [one for one in store.events([site.id]) if one.kind == "role_changed"]
    assert event.actor == "ann"


def test_who_has_a_role_on_another_site_keeps_their_account_to_themselves(
    store: Store, people: People, site: Site, other: Site
) -> None:
    lan = store.add_moderator("lan", Role.VIEWER, site_id=site.id)
    store.new_sign_in_link(lan.id, HOUR)
    people.set_role(None, lan.id, other.id, Role.ADMIN, by="boss")

    acts: list[Callable[[], object]] = [
        lambda: people.new_link([site.id], lan.id, by="ann", lifetime=HOUR),
        lambda: people.end_sessions([site.id], lan.id, by="ann"),
        lambda: people.disable([site.id], lan.id, by="ann"),
        lambda: people.enable([site.id], lan.id, by="ann"),
        lambda: people.reset([site.id], lan.id, by="ann"),
    ]
    for act in acts:
        with pytest.raises(KeptElsewhere):
            act()
    [seen] = people.all([site.id])
    assert (seen.roles, seen.sessions, seen.link_until) == ({site.id: Role.VIEWER}, (), None)


def test_a_link_that_was_made_before_a_role_was_given_leads_to_nothing(
    store: Store, people: People, site: Site, other: Site
) -> None:
    lan = store.add_moderator("lan", Role.VIEWER, site_id=site.id)
    token = people.new_link([site.id], lan.id, by="ann", lifetime=HOUR)

    people.set_role(None, lan.id, other.id, Role.ADMIN, by="boss")

    assert store.use_sign_in_link(token) is None


def test_an_account_for_every_site_is_not_a_site_s_to_look_after(
    store: Store, people: People, site: Site
) -> None:
    lan = store.add_moderator("lan", Role.MODERATOR)
    people.set_role(None, lan.id, site.id, Role.MODERATOR, by="boss")
    people.set_role(None, lan.id, "", None, by="boss")

    assert not people.one([site.id], lan.id).is_ours


def test_somebody_disabled_is_out_at_once_and_comes_back_as_before(
    store: Store, people: People, accounts: Accounts, site: Site
) -> None:
    lan = store.add_moderator("lan", Role.MODERATOR, site_id=site.id)
    session = store.use_sign_in_link(store.new_sign_in_link(lan.id, HOUR))
    link = store.new_sign_in_link(lan.id, HOUR)
    assert session is not None

    people.disable([site.id], lan.id, by="ann")
    during = (store.session(session), accounts.named("lan"), store.use_sign_in_link(link))
    people.enable([site.id], lan.id, by="ann")

    assert during == (None, None, None)
    assert store.session(session) is None
    again = store.use_sign_in_link(store.new_sign_in_link(lan.id, HOUR))
    assert again is not None
    assert store.session(again) == lan
    told = [one for one in kinds(store) if one.startswith("account_")]
    assert told == ["account_disabled", "account_enabled"]


def test_a_reset_takes_password_codes_and_sessions(
    store: Store, people: People, accounts: Accounts, clock: Clock, key: bytes
) -> None:
    own = account_of(store)
    accounts.turn_codes_on(own.moderator_id, key, code_at(key, clock))
    token = accounts.set_password(own, "$argon2id$1", client=FIREFOX)
    assert token is not None

    people.reset(None, own.moderator_id, by="boss")

    bare = accounts.named("lan")
    assert bare is not None
    assert (bare.password, bare.has_codes, bare.recovery_codes) == (None, False, 0)
    assert store.session(token) is None


def test_the_last_admin_of_everything_stays(store: Store, people: People, site: Site) -> None:
    boss = store.add_moderator("boss", Role.ADMIN)
    second = store.add_moderator("second", Role.ADMIN)
    people.disable(None, second.id, by="boss")

    for act in (
        lambda: people.disable(None, boss.id, by="x"),
        lambda: people.set_role(None, boss.id, "", Role.MODERATOR, by="x"),
        lambda: people.set_role(None, boss.id, "", None, by="x"),
    ):
        with pytest.raises(LastAdmin):
            act()
    assert people.one(None, boss.id).roles == {"": Role.ADMIN}
    assert not people.one(None, boss.id).is_disabled


def test_two_admins_who_take_each_other_s_role_at_once_are_not_both_gone(
    open_store: Callable[[], Store], store: Store, people: People
) -> None:
    ids = [store.add_moderator(name, Role.ADMIN).id for name in ("one", "two")]
    together = threading.Barrier(2)
    refused: list[str] = []

    def run(one: People, person_id: str) -> None:
        together.wait()
        try:
            one.set_role(None, person_id, "", None, by="x")
        except LastAdmin:
            refused.append(person_id)

    threads = [threading.Thread(target=run, args=(People(open_store()), one)) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert people.one(None, refused[0]).roles == {"": Role.ADMIN}


# ------------------------------------------------------------------ the throttle


LIMIT = Limit("account", "lan", 3, timedelta(minutes=10))


def test_attempts_are_counted_for_every_process_and_over_a_restart(
    open_store: Callable[[], Store], clock: Clock
) -> None:
    waits = [Throttle(open_store()).take([LIMIT]) for _ in range(4)]
    clock.advance(minutes=4)
    later = Throttle(open_store()).take([LIMIT])
    clock.advance(minutes=6)
    over = Throttle(open_store()).take([LIMIT])

    assert waits == [None, None, None, timedelta(minutes=10)]
    assert later == timedelta(minutes=6)
    assert over is None


def test_an_attempt_that_succeeded_counts_no_more(store: Store) -> None:
    throttle = Throttle(store)
    for _ in range(10):
        assert throttle.take([LIMIT]) is None
        throttle.give_back([LIMIT])


def test_an_attempt_that_has_to_wait_is_counted_nowhere(store: Store) -> None:
    throttle, network = Throttle(store), Limit("network", "n", 5, timedelta(minutes=5))
    for _ in range(3):
        throttle.take([LIMIT])

    waits = [throttle.take([network, LIMIT]) for _ in range(20)]

    assert None not in waits
    assert [throttle.take([network]) for _ in range(5)] == [None] * 5


def test_who_tries_in_parallel_has_no_more_attempts(
    open_store: Callable[[], Store], store: Store
) -> None:
    together, granted = threading.Barrier(8), []

    def run(one: Throttle) -> None:
        together.wait()
        granted.append(one.take([LIMIT]) is None)

    threads = [threading.Thread(target=run, args=(Throttle(open_store()),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert granted.count(True) == 3


def test_neither_a_name_nor_an_address_is_kept(store: Store, clock: Clock) -> None:
    throttle = Throttle(store)
    throttle.take([LIMIT, Limit("network", "203.0.113.7", 3, timedelta(minutes=1))])
    with store.reads() as connection:
        kept = repr(connection.exec_driver_sql("SELECT * FROM sign_in_attempts").all())
    clock.advance(hours=1)
    throttle.take([Limit("x", "y", 1, timedelta(minutes=1))])
    with store.reads() as connection:
        left = connection.exec_driver_sql("SELECT count(*) FROM sign_in_attempts").scalar_one()

    assert "lan" not in kept
    assert "203.0.113" not in kept
    assert left == 1
