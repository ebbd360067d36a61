"""Erasing a person: nothing of theirs is left, on either database, and nothing of others goes."""

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from model.decision import ReportKind
from model.policy import Policy
from model.site_rules import Standing
from service.storage import Site, Store
from service.storage.acts import Acts
from service.storage.erasure import BATCH, Erased, Erasures
from service.storage.site_rules import RuleBook
from service.storage.tables import metadata
from tests.storage.cases import EMAIL, Clock, accept, asked, many, put, reject, submission

THEIRS = submission("Vay tiền nhanh, gọi ngay Nguyễn Quýt!", name="Nguyễn Quýt")
OTHERS = submission("Cảm ơn tác giả, bài hay.", name="Bưởi", email="buoi@mail.example")
CARRY = {"events", "erasures", "statistics_marks"}
"""Tables that may name a comment by its id, or count, once its person is erased."""


def rows_with(store: Store, *words: str) -> set[str]:
    """The tables in which any of some words stands."""
    found = set()
    with store.reads() as connection:
        for table in metadata.sorted_tables:
            text = json.dumps(
                [[str(v) for v in row] for row in connection.execute(sa.select(table))],
                ensure_ascii=False,
            )
            if any(word in text for word in words):
                found.add(table.name)
    return found


def test_nothing_is_left_of_a_person_and_all_of_others(
    store: Store, site: Site, clock: Clock
) -> None:
    theirs = put(store, *many(5, site, clock, THEIRS))
    others = put(store, *many(3, site, clock, OTHERS))
    keyed = put(store, asked(site, clock(), THEIRS, idempotency_key="once"))
    store.decide(None, theirs[0], reject(clock()))
    store.decide(None, theirs[1], reject(clock()))
    store.undo(None, theirs[1], moderator="bob")
    store.report(None, theirs[2], ReportKind.SPAM)
    store.decide(None, others[0], accept(clock()))
    acts = Acts(store)
    acts.decide(None, [theirs[3], others[1]], reject(clock()), kind="bulk", body={})
    erasures = Erasures(store)
    keys = erasures.keys_of(f" {EMAIL.upper()} ", store.sites())
    before = store.changes(site.id)

    there = erasures.found(keys)
    done = erasures.erase(keys, by="an", why="asked lan@mail.example in May")

    assert there == done == Erased(comments=6, labelled=4, waiting=4)
    assert rows_with(store, *theirs, *keyed) <= CARRY
    assert rows_with(store, "Quýt", EMAIL, EMAIL.lower(), *keys.values()) == set()
    assert [store.comment(None, one) is not None for one in others] == [True] * 3
    assert [one.extra["comment_id"] for one in store.labelled()] == [
        *[others[0]] * 2,
        others[1],
    ]
    assert store.changes(site.id).undo > before.undo  # what is learnt is folded again
    (erasure,) = erasures.since(None, None)
    assert (erasure.comments, erasure.labelled, erasure.made_by) == (6, 4, "an")
    assert "lan@" not in erasure.why
    assert "May" in erasure.why
    assert "person_erased" in [event.kind for event in store.events(None)]
    assert erasures.found(keys) == erasures.erase(keys, by="an") == Erased()


def test_it_goes_on_where_it_was_stopped(store: Store, site: Site, clock: Clock) -> None:
    put(store, *many(BATCH + 1, site, clock, THEIRS))
    erasures = Erasures(store)
    keys = erasures.keys_of(EMAIL, [site])

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erasures.erase(keys, by="an", pause=stop)
    rest = erasures.erase(keys, by="an")

    assert rest.comments == 1
    assert {one.comments for one in erasures.since([site.id], None)} == {1, BATCH}


def test_another_site_knows_them_by_another_key(store: Store, site: Site, clock: Clock) -> None:
    other, _ = store.add_site("shop", Policy())
    put(store, *many(1, site, clock, THEIRS), *many(2, other, clock, THEIRS))
    erasures = Erasures(store)
    (one,) = put(store, *many(1, other, clock, THEIRS))

    assert erasures.keys_like([site.id], one) == {}
    done = erasures.erase(erasures.keys_like([other.id], one), by="an")

    assert done.comments == 3
    assert erasures.found(erasures.keys_of(EMAIL, store.sites())).comments == 1
    assert erasures.since([site.id], None) == []


def test_a_ban_stays_without_a_name(store: Store, site: Site, clock: Clock) -> None:
    (one,) = put(store, asked(site, clock(), THEIRS))
    book = RuleBook(store)
    book.act_on_author(None, one, Standing.BANNED, by="an", why="again", expires_at=None)
    erasures = Erasures(store)

    done = erasures.erase(erasures.keys_of(EMAIL, [site]), by="an")

    assert done.rules == 1
    assert rows_with(store, "Quýt") == set()
    _, (rule,) = book.in_force(site.id)
    assert rule.action == Standing.BANNED.value


def test_no_address_is_nobody(store: Store, site: Site, clock: Clock) -> None:
    put(store, asked(site, clock(), replace(THEIRS, author=replace(THEIRS.author, email=""))))
    erasures = Erasures(store)

    assert erasures.keys_of("  ", [site]) == {}
    assert erasures.erase({}, by="an") == Erased()
    assert erasures.found({site.id: "0" * 32}) == Erased()
