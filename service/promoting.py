"""Promote a challenger without being asked, where the installation said so and the rule allows it.

Knows when to look, and how long a challenger is given to be watched. The rule is
`model.promotion`, and the registry writes down every move.
"""

import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from model.moves import was_taken_back
from model.promotion import Code, Shadowed, ruling_on
from model.registry import CHALLENGER, CHAMPION, Registry, RegistryError
from service.storage import Store
from service.storage.jobs import CLOCK, Jobs
from service.storage.leases import take_lease
from service.storage.model_moves import PROMOTED, model_moved

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
_NAME = "promoting"

BY_RULE = "the rule allowed it"
"""Why a challenger became champion, where nobody says more."""

PATIENCE = timedelta(days=7)
"""So long a challenger is watched, where only that is missing, before another one is trained."""

_TO_BE_SEEN = frozenset({Code.NOT_SHADOWED, Code.SHADOWED_TOO_LITTLE})


class Promoting:
    """Looks whether the challenger may be promoted, and does it; for one thread at a time."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        shadow_of: Callable[[str, str], Shadowed | None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._shadow_of = shadow_of
        self._holder = secrets.token_hex(8)

    def turn(self) -> bool:
        """Whether a challenger became the champion."""
        if not Jobs(self._store).nightly().promotes:
            return False
        if not take_lease(self._store, _NAME, self._holder, LEASE):
            return False
        try:
            return self._promoted()
        except RegistryError as problem:
            log.error("no challenger can be promoted: %s", problem)
            return False

    def is_watching(self) -> bool:
        """Whether nothing is missing of the challenger but that the shadow sees more of it.

        What the shadow saw is of one challenger: with a new one every night, none would ever have
        been seen for a day. False after `PATIENCE`, and where the registry cannot be read.
        """
        try:
            names = self._registry.names()
            champion, challenger = names.get(CHAMPION, ""), names.get(CHALLENGER, "")
            if not champion or challenger in ("", champion) or self._is_let_be(challenger):
                return False
            moves = [m for m in self._registry.moves() if m["name"] == CHALLENGER]
            since = datetime.fromisoformat(str(moves[-1]["at"])) if moves else None
            comparison = self._registry.report(challenger, champion)
        except (RegistryError, ValueError):
            return False
        now = self._store.now()
        if since is None or not now - PATIENCE < since <= now:
            return False
        shadowed = self._shadow_of(champion, challenger)
        ruling = ruling_on(champion, challenger, comparison, shadowed)
        return {reason.code for reason in ruling.against} <= _TO_BE_SEEN

    def _promoted(self) -> bool:
        names = self._registry.names()
        champion, challenger = names.get(CHAMPION, ""), names.get(CHALLENGER, "")
        if not champion or challenger in ("", champion) or self._is_let_be(challenger):
            return False
        comparison = self._registry.report(challenger, champion)
        ruling = ruling_on(champion, challenger, comparison, self._shadow_of(champion, challenger))
        if not ruling.may:
            return False
        at = self._store.now()
        self._registry.move(
            CHAMPION, challenger, who=CLOCK, why=BY_RULE, at=at, instead_of=champion
        )
        model_moved(self._store, PROMOTED, challenger, by=CLOCK, why=BY_RULE)
        log.info("challenger promoted", extra={"version": challenger})
        return True

    def _is_let_be(self, version: str) -> bool:
        """Whether somebody rolled back from it: nobody's decision is undone by the clock."""
        return was_taken_back(self._registry.moves(), CHAMPION, version)
