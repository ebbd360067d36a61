"""The parts of the desk, in the order of the menu.

Knows which role a part is for. What a part is called is in the languages, as `part.{key}`.
"""

from dataclasses import dataclass
from typing import Protocol

from service.storage import Role
from service.storage.review import SiteIds


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of the menu: its address, and the role that it takes to see it.

    On some site, or with `everywhere` on every site.
    """

    key: str
    path: str
    role: Role
    everywhere: bool = False


PARTS = (
    Part("queue", "/queue", Role.VIEWER),
    Part("campaigns", "/campaigns", Role.VIEWER),
    Part("authors", "/authors", Role.MODERATOR),
    Part("rules", "/rules", Role.MODERATOR),
    Part("dashboard", "/dashboard", Role.VIEWER),
    Part("log", "/log", Role.VIEWER),
    Part("models", "/models", Role.ADMIN, everywhere=True),
    Part("people", "/people", Role.ADMIN),
)


class HasRoles(Protocol):
    """Whoever is signed in."""

    def may(self, role: Role, site_id: str | None = None) -> bool:
        """Whether they have a role on a site, or on any."""

    def sites_as(self, role: Role) -> SiteIds:
        """The sites on which they have a role; None is every site."""


def parts_for(caller: HasRoles | None) -> tuple[Part, ...]:
    """What somebody may open; nothing for one who is not signed in."""
    return tuple(part for part in PARTS if caller is not None and _may_open(caller, part))


def _may_open(caller: HasRoles, part: Part) -> bool:
    return caller.sites_as(part.role) is None if part.everywhere else caller.may(part.role)
