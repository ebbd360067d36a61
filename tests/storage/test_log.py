"""The log: who may see what, what is found, and that nothing in it is ever changed."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from model.policy import Policy
from service.storage import BadCursor, Role, Site, Store, StoreError, StoreUnavailable
from service.storage import log as log_module
from service.storage.events import Actor, tell
from service.storage.log import Log, Seen, Sought, folded
from service.storage.tables import events
from tests.storage.cases import Clock, accept, many, put, reject

ALL = Seen(None, None)
ANYTHING = Sought()


@pytest.fixture
def log(store: Store) -> Log:
    return Log(store)


def told(
    store: Store,
    clock: Clock,
    kind: str,
    who: str = "ann",
    *,
    site: Site | None = None,
    **body: object,
) -> None:
    clock.advance(seconds=1)
    with store.writes() as connection:
        site_id = site.id if site else None
        tell(connection, kind, Actor(who, clock()), site_id=site_id, body=body)


def kinds(log: Log, seen: Seen = ALL, sought: Sought = ANYTHING) -> list[str]:
    return [line.kind for line in log.page(seen, sought).lines]


def test_the_newest_comes_first(store: Store, site: Site, clock: Clock, log: Log) -> None:
    (comment_id,) = put(store, *many(1, site, clock))
    clock.advance(seconds=1)
    store.decide(None, comment_id, accept(clock()))
    clock.advance(seconds=1)
    store.undo(None, comment_id, moderator="ann")

    assert kinds(log) == ["undone", "decided", "site_added"]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 50])
def test_pages_hold_every_line_once(
    store: Store, site: Site, clock: Clock, log: Log, number: int
) -> None:
    with store.writes() as connection:
        for at in range(20):  # in tens of the same moment, as bulk acts write them
            actor = Actor("ann", clock() + timedelta(seconds=at // 10))
            tell(connection, "decided", actor, site_id=site.id, body={"at": at})
    found, after = [], ""

    while True:
        page = log.page(ALL, Sought(kind="decided"), after=after, limit=number)
        found += [line.body for line in page.lines]
        after = page.after
        if not after:
            break

    assert found == [f'{{"at":{at}}}' for at in range(19, -1, -1)]


SEEN = {
    "viewer": ({"decided", "rules_list"}, Role.VIEWER),
    "moderator": ({"decided", "rules_list"}, Role.MODERATOR),
    "admin": ({"decided", "rules_list", "address_revealed", "moderator_added", "new"}, Role.ADMIN),
}


@pytest.mark.parametrize("role", SEEN)
def test_who_may_see_a_line(store: Store, site: Site, clock: Clock, log: Log, role: str) -> None:
    other, _ = store.add_site("other", Policy())
    for where in (site, other):
        for kind in ("decided", "rules_list", "address_revealed", "moderator_added", "new"):
            told(store, clock, kind, site=where)
    told(store, clock, "moderator_added")  # on every site
    expected, has = SEEN[role]
    seen = Seen([site.id], [site.id] if has is Role.ADMIN else [])

    page = log.page(seen, Sought(since=clock() - timedelta(minutes=1)))

    lines = [line for line in page.lines if line.kind != "site_added"]
    assert {line.kind for line in lines} == expected
    assert {line.site_id for line in lines} == {site.id}
    assert len(lines) == len(expected)


def test_a_viewer_of_every_site_sees_no_line_of_the_installation(
    store: Store, site: Site, clock: Clock, log: Log
) -> None:
    told(store, clock, "moderator_added")
    told(store, clock, "decided", site=site)

    assert kinds(log, Seen(None, [])) == ["decided"]
    assert kinds(log) == ["decided", "moderator_added", "site_added"]


def test_who_has_no_site_sees_nothing(store: Store, site: Site, clock: Clock, log: Log) -> None:
    told(store, clock, "decided", site=site)

    assert kinds(log, Seen([], [])) == []
    assert log.line(Seen([], []), 1) is None


def test_a_site_that_one_may_not_see_is_one_that_is_not_there(
    store: Store, site: Site, clock: Clock, log: Log
) -> None:
    other, _ = store.add_site("other", Policy())
    told(store, clock, "decided", site=other)
    seen = Seen([site.id], [site.id])

    assert log.page(seen, Sought(site_id=other.id)) == log.page(seen, Sought(site_id="none"))


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(who="Đỗ Mười"), ["revealed"]),
        (Sought(who="do muoi"), ["revealed"]),
        (Sought(who="MƯỜI"), ["revealed"]),
        (Sought(who="%"), []),
        (Sought(words="goi dien"), ["revealed"]),
        (Sought(words="Gọi điện"), ["revealed"]),
        (Sought(words="100%"), ["listed"]),
        (Sought(words="100_"), []),
        (Sought(words="why"), []),
        (Sought(kind="listed"), ["listed"]),
        (Sought(kind="' OR 1=1 --"), []),
        (Sought(who="ann", kind="listed"), ["listed"]),
        (Sought(who="ann", kind="revealed"), []),
        (Sought(comment_id="nothing"), []),
    ],
)
def test_what_is_sought_is_found(
    store: Store, site: Site, clock: Clock, log: Log, sought: Sought, found: list[str]
) -> None:
    told(store, clock, "listed", site=site, why="sure 100%")
    told(store, clock, "revealed", "Đỗ Mười", site=site, why="Đã gọi điện cho bạn đọc")

    assert kinds(log, ALL, sought) == found


def test_a_time_has_a_start_within_and_an_end_without(
    store: Store, site: Site, clock: Clock, log: Log
) -> None:
    start = clock()
    for _ in range(3):
        told(store, clock, "listed", site=site)
    since, until = start + timedelta(seconds=1), start + timedelta(seconds=3)

    page = log.page(ALL, Sought(since=since, until=until))

    assert [line.at for line in page.lines] == [until - timedelta(seconds=1), since]


def test_a_search_looks_at_so_much_and_then_says_how_far_it_came(
    store: Store, site: Site, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MOST_LOOKED_AT", 10)
    monkeypatch.setattr(log_module, "_FIRST_PART", 5)
    told(store, clock, "listed", site=site, why="the one")
    for _ in range(60):
        told(store, clock, "listed", site=site)

    first = log.page(ALL, Sought(words="the one"))
    pages, after = 1, first.after
    while not (page := log.page(ALL, Sought(words="the one"), after=after)).lines:
        pages, after = pages + 1, page.after

    assert first.is_cut
    assert first.looked_to is not None
    assert first.lines == ()
    assert pages < 10


@pytest.mark.parametrize("cursor", ["x", "W10", "é", "WzFlOTksMV0", "[1,2]"])
def test_a_place_that_is_none_is_refused(log: Log, cursor: str) -> None:
    with pytest.raises(BadCursor):
        log.page(ALL, ANYTHING, after=cursor)


def test_which_decisions_stand(store: Store, site: Site, clock: Clock, log: Log) -> None:
    first, second = put(store, *many(2, site, clock))
    store.decide(None, first, accept(clock()))
    store.decide(None, second, accept(clock()))
    store.undo(None, first, moderator="ann")
    clock.advance(seconds=1)
    store.decide(None, first, reject(clock(), by="ann"))

    page = log.page(ALL, Sought(kind="decided"))

    standing = [(line.comment_id, line.body) for line in page.lines if line.number in page.standing]
    assert standing == [
        (first, '{"outcome":"reject","reason":"spam"}'),
        (second, '{"outcome":"accept","reason":null}'),
    ]


def test_all_lines_come_in_parts(store: Store, site: Site, clock: Clock, log: Log) -> None:
    with store.writes() as connection:
        for _ in range(450):
            clock.advance(seconds=1)
            tell(connection, "listed", Actor("ann", clock()), site_id=site.id, body={})

    numbers = [line.number for line in log.all(ALL, Sought(kind="listed"))]

    assert len(numbers) == 450
    assert numbers == sorted(numbers, reverse=True)


def test_letters_are_compared_without_case_and_diacritics() -> None:
    assert folded("Đã GỌI điện") == "da goi dien"
    assert folded("ß İ") == "ss i"


# ------------------------------------------------------------------ it only grows


@pytest.mark.parametrize(
    "change", [events.update().values(actor="nobody"), events.delete()], ids=["update", "delete"]
)
def test_the_database_refuses_to_change_a_line(
    store: Store, site: Site, log: Log, change: sa.Update | sa.Delete
) -> None:
    with pytest.raises((StoreError, StoreUnavailable)), store.writes() as connection:
        connection.execute(change)

    assert [line.actor for line in log.page(ALL, ANYTHING).lines] == ["operator"]


def test_no_code_changes_a_line() -> None:
    root = Path(log_module.__file__).parents[1]
    code = {path: path.read_text("utf-8") for path in root.rglob("*.py")}
    changing = re.compile(
        r"\bevents\s*\.\s*(update|delete)\b|\b(update|delete)\(\s*events\b"
        r"|\b(UPDATE|DELETE FROM|TRUNCATE( TABLE)?|DROP TABLE)\s+events\b"
    )
    adding = re.compile(r"\bevents\s*\.\s*insert\b|\binsert\(\s*events\b")

    assert [path.name for path, text in code.items() if changing.search(text)] == []
    assert [path.name for path, text in code.items() if adding.search(text)] == ["events.py"]
