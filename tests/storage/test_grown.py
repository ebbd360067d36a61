"""Databases grown for a benchmark hold more of what they held, and nothing that is broken."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from benchmarks.grown import SPAN, grow
from service.storage import Site, Store
from service.storage.tables import comments
from tests.storage.cases import Clock, accept, found, many, put, record, submission


def driven(url: str) -> sa.URL:
    made = sa.make_url(url)
    is_sqlite = made.get_backend_name() == "sqlite"
    return made if is_sqlite else made.set(drivername="postgresql+psycopg")


def keys_in(url: str, column: str) -> set[str]:
    engine = sa.create_engine(driven(url))
    with engine.connect() as connection:
        keys = set(connection.execute(sa.select(comments.c[column])).scalars())
    engine.dispose()
    return keys


def indexes_in(url: str) -> set[str | None]:
    engine = sa.create_engine(driven(url))
    names = {index["name"] for index in sa.inspect(engine).get_indexes("comments")}
    engine.dispose()
    return names


def test_every_comment_is_there_again_each_time_a_span_earlier(
    url: str, store: Store, site: Site, clock: Clock
) -> None:
    put(store, *many(3, site, clock))
    store.close()

    grow(driven(url), 2, told=lambda _: None)

    items = store.queue_page(None, limit=50, after="").items
    since = [item.comment.received_at for item in items]
    assert store.queue_size(None) == 9
    assert since == sorted(since)
    assert [since[at + 3] - since[at] for at in range(6)] == [SPAN] * 6


def test_a_copy_is_decided_as_the_comment_was(
    url: str, store: Store, site: Site, clock: Clock
) -> None:
    [stored] = record(store, *many(1, site, clock))
    store.decide(None, stored.id, accept(clock()))
    store.close()

    grow(driven(url), 3, told=lambda _: None)

    assert store.changes(site.id).last == 4
    assert found(store, stored.id).decision == accept(clock())


def test_new_comments_find_the_indexes_they_had(
    url: str, store: Store, site: Site, clock: Clock, open_store: Callable[[], Store]
) -> None:
    put(store, *many(2, site, clock))
    store.close()
    before = indexes_in(url)

    grow(driven(url), 1, told=lambda _: None)

    assert indexes_in(url) == before
    assert put(open_store(), *many(1, site, clock))


def test_other_texts_and_authors_write_in_each_copy_but_for_those_that_return(
    url: str, store: Store, site: Site, clock: Clock
) -> None:
    for at in range(40):
        put(store, *many(1, site, clock, submission(f"text {at}", email=f"r{at}@mail.example")))
    store.close()

    grow(driven(url), 4, told=lambda _: None)

    assert 40 < len(keys_in(url, "author_key")) < 5 * 40
    assert 40 < len(keys_in(url, "text_key")) <= 5 * 40


def test_nothing_cannot_be_grown(url: str, store: Store) -> None:
    store.close()

    with pytest.raises(ValueError, match="comments to copy"):
        grow(driven(url), 1, told=lambda _: None)
