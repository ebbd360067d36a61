"""Every route of the whole app, with who may call it, and how the tests fill it in.

Routes that a part adds are found by themselves. A name in a path that is new has to be given its
kind in `KINDS`, and a field that is no id has to be named in `TYPED`; a test says which.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from service.storage import Role, Store
from service.storage.tables import metadata
from service.web.desk import Needs, anyone
from service.web.rendering import PageRoute

NO_SUCH_ID = "01890000-0000-7000-8000-000000000000"

KINDS: Mapping[str, str] = {
    "act_id": NO_SUCH_ID,
    "author": "0" * 32,
    "author_key": "0" * 32,
    "campaign_id": NO_SUCH_ID,
    "comment_id": NO_SUCH_ID,
    "key": "arrivals",
    "list_id": NO_SUCH_ID,
    "moderator_id": NO_SUCH_ID,
    "name": "pages.css",
    "number": "987654321",
    "person_id": NO_SUCH_ID,
    "rule_id": NO_SUCH_ID,
    "session_id": "0" * 32,
    "site_id": NO_SUCH_ID,
    "token": "x" * 48,
    "version": "000000000000",
    "view": "x",
}
"""What the names in paths stand for: something of that shape that never was."""

TYPED: Mapping[str, str] = {
    "code": "000000",
    "key": "A" * 32,
    "lang": "",
    "language": "vi",
    "name": "",
    "new_password": "short",
    "order": "oldest",
    "password": "wrong",
    "reason": "spam",
    "role": "viewer",
    "single_keys": "",
    "ticket": "x",
    "token": "",
    "why": "because",
}
"""Fields that hold no id, and what the tests type into them; every other one is given ids."""


@dataclass(frozen=True)
class Way:
    """One method of one route. `needs` is the role, None for everybody, "?" if unsaid."""

    method: str
    path: str
    is_page: bool
    needs: Role | str | None
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(re.findall(r"{(\w+)[^}]*}", self.path))

    def filled(self, **values: str) -> str:
        """The path with its names filled in, by what never was where nothing is given."""
        unknown = [name for name in self.names if name not in KINDS]
        assert not unknown, f"{self}: give {unknown} a kind in tests/desk/routes.py"
        return re.sub(r"{(\w+)[^}]*}", lambda m: values.get(m[1], KINDS[m[1]]), self.path)


def ways_of(app: FastAPI) -> list[Way]:
    """Every method of every route, HEAD left out."""
    return [
        Way(method, route.path, isinstance(route, PageRoute), _needs(route), _fields(route))
        for route in _routes(app)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def _routes(router: Any) -> Iterator[Route]:
    # FastAPI keeps included routers whole, none with a prefix.
    for route in router.routes:
        if isinstance(route, Route):
            yield route
        else:
            yield from _routes(route.original_router)


def _needs(route: Route) -> Role | str | None:
    if not isinstance(route, APIRoute):
        return "?"
    calls = [one.call for one in _dependencies(route.dependant)]
    said: list[Role | None] = [call.role for call in calls if isinstance(call, Needs)]
    said += [None for call in calls if call is anyone]
    return said[0] if len(said) == 1 else "?"


def _dependencies(dependant: Any) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one
        yield from _dependencies(one)


def _fields(route: Route) -> tuple[str, ...]:
    """What an address or a form may hold, by name."""
    if not isinstance(route, APIRoute):
        return ()
    found = [one.alias for one in route.dependant.query_params]
    for body in route.dependant.body_params:
        model = body.field_info.annotation
        found += list(getattr(model, "model_fields", {})) or [body.alias]
    return tuple(found)


CHORES = frozenset(
    {
        "arrival_days",
        "audit_days",
        "chore_leases",
        "decision_days",
        "language_days",
        "queue_samples",
        "reason_days",
        "score_days",
        "statistics_marks",
        "waiting",
        "waiting_texts",
    }
)
"""Tables that the service fills by itself, whatever is read."""


def whole(store: Store, *, but: tuple[tuple[str, str], ...] = ()) -> dict[str, list[str]]:
    """All that a database holds, by table; without some columns of (table, column)."""
    with store.reads() as connection:
        return {
            name: sorted(
                repr({k: v for k, v in row._mapping.items() if (name, k) not in but})
                for row in connection.execute(sa.select(table))
            )
            for name, table in metadata.tables.items()
            if name not in CHORES
        }
