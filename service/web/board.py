"""Which panels the dashboard has, and in which order: a few stories, each a module."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.alerts import Shift
from service.storage.audited import By, Found, judged
from service.storage.figures import Figures, Scope, read
from service.storage.store import Store
from service.storage.watched import Histograms, shifts
from service.web.panels import Frame, Panel
from service.web.panels_of_drift import Drifts
from service.web.panels_of_quality import Quality
from service.web.panels_over_time import OverTime
from service.web.texts import Texts


@dataclass(frozen=True, slots=True)
class Read:
    """All that the panels of a scope show."""

    figures: Figures
    found: Mapping[By, Found]
    shifts: Mapping[str, Mapping[str, Shift]]


def read_all(store: Store, scope: Scope) -> Read:
    """What is shown of a scope. Raises as the store does."""
    found = {by: judged(store, scope, by) for by in By}
    return Read(read(store, scope), found, shifts(store, scope.sites))


class Board:
    """Makes the panels of what was read, in a language; `sites` are names by their ids."""

    def __init__(
        self,
        t: Texts,
        has: Read,
        scope: Scope,
        histograms: Histograms,
        sites: Mapping[str, str],
    ) -> None:
        frame = Frame(t, scope)
        self._makers: dict[str, Callable[[], Panel]] = {
            **OverTime(frame, has.figures).makers(),
            **Quality(frame, has.figures, has.found, sites).makers(),
            **Drifts(frame, has.figures, histograms, has.shifts, sites).makers(),
        }

    def all(self) -> Sequence[Panel]:
        """All panels in the order of the page."""
        return [make() for make in self._makers.values()]

    def one(self, key: str) -> Panel | None:
        """One panel; None if there is none of that name."""
        make = self._makers.get(key)
        return None if make is None else make()
