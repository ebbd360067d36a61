"""A site's rules on both databases: versions, undo, limits, and what judging sees of them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from model.lists import Act, Entry, Kind, Searched
from model.outcome import Outcome
from model.policy import Policy
from model.site_rules import Standing
from service.ruling import Ruling
from service.storage import NothingToUndo, Retention, Site, Store, UnknownComment, UnknownSite
from service.storage.rule_records import (
    OF_AUTHORS,
    OF_LISTS,
    NewRule,
    NotKnown,
    RuleKind,
    RulesChanged,
    TooManyRules,
    entries_of,
)
from service.storage.site_rules import RuleBook
from tests.storage.cases import EMAIL, Clock, asked, put, submission, verdict


@pytest.fixture
def site(store: Store) -> Site:
    return store.add_site("bao", Policy())[0]


@pytest.fixture
def book(store: Store) -> RuleBook:
    return RuleBook(store)


def word(text: str, act: Act = Act.QUEUE) -> NewRule:
    return NewRule(RuleKind.WORD, text, act.value)


def comment(store: Store, site: Site, clock: Clock, **author: str) -> str:
    clock.advance(minutes=1)
    return put(store, asked(site, clock(), submission(**author)))[0]


def words_of(book: RuleBook, site: Site) -> set[str]:
    return {rule.key for rule in book.listed({site.id}, OF_LISTS)}


def test_every_version_stays_readable(book, site):
    for version, text in enumerate(("mot", "hai", "ba")):
        book.change_lists(site.id, add=[word(text)], end=(), since=version, by="an", why="x")
    (first,) = [rule for rule in book.listed({site.id}, OF_LISTS) if rule.key == "mot"]
    book.change_lists(site.id, add=(), end=[first.id], since=3, by="an", why="x")

    versions = [book.as_of(site.id, version).lists for version in range(5)]

    assert book.version(site.id) == 4
    assert [[f.entry.text for f in found(lists, "mot hai ba")] for lists in versions] == [
        [],
        ["mot"],
        ["mot", "hai"],
        ["mot", "hai", "ba"],
        ["hai", "ba"],
    ]


def found(lists, content):
    return sorted(lists.found_in(Searched(content, "", "", (), "")), key=lambda one: one.start)


def test_an_undo_brings_back_exactly_what_was_and_can_be_undone(book, site):
    book.change_lists(site.id, add=[word("mot")], end=(), since=0, by="an", why="vì")
    (before,) = book.listed({site.id}, OF_LISTS)
    book.change_lists(
        site.id, add=[word("mot", Act.REJECT), word("hai")], end=(), since=1, by="be", why="x"
    )

    undone = book.undo(None, site.id, 2, by="an", kinds={"lists"})

    (after,) = book.listed({site.id}, OF_LISTS)
    same = ("kind", "key", "action", "scope", "label", "why", "made_by", "made_at", "expires_at")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert (undone.made, undone.ended, undone.undoes) == (1, 2, 2)
    book.undo(None, site.id, 3, by="an", kinds={"lists"})
    assert {(r.key, r.action) for r in book.listed({site.id}, OF_LISTS)} == {
        ("mot", "reject"),
        ("hai", "queue"),
    }


def test_a_change_is_undone_once_and_only_by_who_may(book, site):
    book.change_lists(site.id, add=[word("mot")], end=(), since=0, by="an", why="x")

    for sites, version, kinds in (
        (frozenset(), 1, {"lists"}),
        (None, 1, {"author", "raid"}),
        (None, 7, {"lists"}),
    ):
        with pytest.raises(NothingToUndo):
            book.undo(sites, site.id, version, by="be", kinds=kinds)
    book.undo(None, site.id, 1, by="an", kinds={"lists"})
    with pytest.raises(NothingToUndo):
        book.undo(None, site.id, 1, by="an", kinds={"lists"})
    with pytest.raises(NothingToUndo):  # the undo of a list is about a list
        book.undo(None, site.id, 2, by="be", kinds={"author", "raid"})

    assert words_of(book, site) == set()
    assert book.version(site.id) == 2


def test_what_was_changed_again_since_is_left_by_an_undo(book, site):
    book.change_lists(site.id, add=[word("mot")], end=(), since=0, by="an", why="x")
    book.change_lists(site.id, add=[word("mot", Act.REJECT)], end=(), since=1, by="be", why="x")

    undone = book.undo(None, site.id, 1, by="an", kinds={"lists"})

    assert (undone.made, undone.ended) == (0, 0)
    assert [r.action for r in book.listed({site.id}, OF_LISTS)] == ["reject"]


def test_the_second_of_two_who_change_at_once_is_told(book, site):
    book.change_lists(site.id, add=[word("mot")], end=(), since=0, by="an", why="x")

    with pytest.raises(RulesChanged):
        book.change_lists(site.id, add=[word("hai")], end=(), since=0, by="be", why="x")

    assert (words_of(book, site), book.version(site.id)) == ({"mot"}, 1)


def test_a_list_over_the_limit_changes_nothing(book, site):
    many = [word(f"w{n}") for n in range(10_001)]

    with pytest.raises(TooManyRules) as refused:
        book.change_lists(site.id, add=many, end=(), since=0, by="an", why="x")

    assert refused.value.most == 10_000
    assert (words_of(book, site), book.version(site.id)) == (set(), 0)


def test_an_author_is_banned_by_a_hash_and_named_without_an_address(store, book, site, clock):
    comment_id = comment(store, site, clock)
    until = clock() + timedelta(days=1)

    book.act_on_author(
        None, comment_id, Standing.BANNED, by="an", why=f"viết từ {EMAIL}", expires_at=until
    )

    (rule,) = book.listed({site.id}, OF_AUTHORS)
    assert rule.key == store.keyring.author_key(site.id, EMAIL)
    assert (rule.label, rule.expires_at) == ("An · N•••@mail.example", until)
    told = [event for event in store.events(None) if event.kind == "rules_author"]
    assert [event.comment_id for event in told] == [comment_id]
    assert EMAIL.lower() not in repr((rule, told, book.changes(None))).lower()
    clock.advance(days=1)
    assert book.listed({site.id}, OF_AUTHORS) == []


def test_a_new_word_on_an_author_takes_the_place_of_the_old_one(store, book, site, clock):
    comment_id = comment(store, site, clock)
    for standing in (Standing.BANNED, Standing.TRUSTED):
        book.act_on_author(None, comment_id, standing, by="an", why="", expires_at=None)

    assert [r.action for r in book.listed(None, OF_AUTHORS)] == ["trust"]
    book.undo(None, site.id, 2, by="an", kinds={"author"})
    assert [r.action for r in book.listed(None, OF_AUTHORS)] == ["ban"]


def test_nobody_acts_on_another_site_s_comment_or_on_nothing(store, book, site, clock):
    other = store.add_site("khac", Policy())[0]
    elsewhere, nameless = (
        comment(store, other, clock),
        comment(store, site, clock, email="", ip=""),
    )
    here = frozenset({site.id})

    with pytest.raises(UnknownComment):
        book.act_on_author(here, elsewhere, Standing.BANNED, by="an", why="", expires_at=None)
    with pytest.raises(NotKnown):
        book.act_on_author(here, nameless, Standing.BANNED, by="an", why="", expires_at=None)
    with pytest.raises(NotKnown):
        book.act_on_author(
            here, nameless, Standing.BANNED, by="an", why="", expires_at=None, of_network=True
        )
    with pytest.raises(UnknownSite):
        book.start_raid(here, by="an", why="", lasts=timedelta(hours=2), site_id=other.id)
    with pytest.raises(NothingToUndo):
        book.end(here, "no-such-rule", by="an", kinds=OF_AUTHORS)

    assert book.listed(None, RuleKind) == []


def _applied(store: Store, site: Site, clock: Clock, ruling: Ruling, **author: str):
    one = asked(site, clock(), submission(**author))
    (known,) = store.gather([one])
    return ruling.on([(one, known)])[0]


def test_a_change_counts_for_the_next_batch_of_every_process(store, open_store, book, site, clock):
    rulings = [(store, Ruling(store)), (other := open_store(), Ruling(other))]
    before = [_applied(s, site, clock, ruling) for s, ruling in rulings]

    comment_id = comment(store, site, clock)
    book.act_on_author(None, comment_id, Standing.BANNED, by="an", why="", expires_at=None)
    banned = [_applied(s, site, clock, ruling) for s, ruling in rulings]
    book.undo(None, site.id, 1, by="an", kinds={"author"})
    after = [_applied(s, site, clock, ruling) for s, ruling in rulings]

    assert before == [None, None]
    assert [(a.version, a.author.standing) for a in banned] == [(1, Standing.BANNED)] * 2
    assert [(a.version, a.author) for a in after] == [(2, None)] * 2


def test_a_raid_is_for_authors_of_whom_nothing_was_published(store, book, site, clock):
    ruling = Ruling(store)
    put(
        store,
        asked(site, clock(), submission(email="known@mail.example")),
        by=verdict(Outcome.ACCEPT),
    )
    comment_id = comment(store, site, clock)  # waits
    clock.advance(minutes=1)
    book.start_raid(None, by="an", why="", lasts=timedelta(hours=2), comment_id=comment_id)
    put(
        store,
        asked(site, clock(), submission(email="late@mail.example")),
        by=verdict(Outcome.ACCEPT),
    )
    clock.advance(minutes=1)

    def raided(email: str) -> bool:
        applied = _applied(store, site, clock, ruling, email=email)
        return applied is not None and applied.raid is not None

    assert [raided(e) for e in ("known@mail.example", EMAIL, "late@mail.example", "")] == [
        False,
        True,
        True,
        True,
    ]
    clock.advance(hours=2)
    assert not raided(EMAIL)
    clock.advance(hours=-1)  # a clock that was set back
    assert raided(EMAIL)


def test_a_raid_on_an_article_leaves_others_alone_and_lasts_a_week_at_most(
    store, book, site, clock
):
    ruling = Ruling(store)
    comment_id = comment(store, site, clock)
    change = book.start_raid(None, by="an", why="", lasts=timedelta(hours=2), comment_id=comment_id)
    here = asked(site, clock(), submission(email="new@mail.example"))
    there = replace(here, submission=replace(here.submission, permalink="https://blog.example/b"))
    again = replace(
        here, submission=replace(here.submission, permalink="https://blog.example/a-post/#c-9")
    )

    on = [ruling.on([(one, store.gather([one])[0])])[0].raid for one in (here, there, again)]

    assert [raid is not None for raid in on] == [True, False, True]
    assert change.kind == "raid"
    with pytest.raises(ValueError, match="7 days"):
        book.start_raid(None, by="an", why="", lasts=timedelta(days=8), site_id=site.id)


def test_entries_are_made_ready_again_only_when_they_changed(store, book, site, clock):
    ruling = Ruling(store)
    book.change_lists(site.id, add=[word("mot")], end=(), since=0, by="an", why="x")
    first = _applied(store, site, clock, ruling)
    comment_id = comment(store, site, clock)
    book.act_on_author(None, comment_id, Standing.QUEUED, by="an", why="", expires_at=None)

    second = _applied(store, site, clock, ruling)

    assert first.lists is second.lists
    assert entries_of(book.in_force(site.id)[1]) == [Entry(Kind.WORD, "mot", Act.QUEUE)]


def test_retention_forgets_whom_an_old_rule_was_about_and_keeps_the_rule(store, book, site, clock):
    for email in ("anna@mail.example", "binh@mail.example"):
        comment_id = comment(store, site, clock, email=email)
        until = clock() + timedelta(days=1) if email.startswith("a") else None
        book.act_on_author(None, comment_id, Standing.BANNED, by="an", why="rác", expires_at=until)
    book.change_lists(site.id, add=[word("mot")], end=(), since=2, by="an", why="x")
    clock.advance(days=60)

    store.forget(Retention(days=7, spoken_days=30))

    rules = {rule.key: rule for rule in book.listed(None, OF_AUTHORS)}
    assert [rule.label for rule in rules.values()] == ["An · b•••@mail.example"]
    assert [(c.kind, c.what) for c in book.changes(None)] == [
        ("lists", "mot"),
        ("author", ""),
        ("author", ""),
    ]
    assert len(book.as_of(site.id, 2).authors) == 2
