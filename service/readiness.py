"""Whether the service is ready: what /readyz says. Knows the store, the model and the spool."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from service.serving import Serving
from service.spool import Spool
from service.storage import NewerSchema, Store, StoreError

READINESS_SECONDS = 3.0
"""How long the store has for its answer."""

_AWAY = "the store does not answer"
_UNWRITABLE = "the store cannot be written"


class Readiness:
    """Whether comments can be judged and kept."""

    def __init__(self, store: Store, serving: Serving, spool: Spool | None = None) -> None:
        self._store = store
        self._spool = spool
        self._serving = serving
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._asked: Future[tuple[str, ...]] | None = None

    def problems(self) -> Sequence[str]:
        """What is missing; asks the store, and answers within three seconds even if it hangs."""
        if self._asked is None or self._asked.done():
            self._asked = self._thread.submit(self._store_problems)
        try:
            found = self._asked.result(READINESS_SECONDS)
        except TimeoutError:
            found = (_AWAY,)
        is_away = found in ((_AWAY,), (_UNWRITABLE,))
        if is_away and self._spool is not None and self._spool.can_take():
            found = ()  # comments are kept all the same
        return (*found, *self._serving.problems())

    def warnings(self) -> Sequence[str]:
        """What should be looked at though it is ready."""
        return self._serving.warnings()

    def _store_problems(self) -> tuple[str, ...]:
        try:
            if not self._store.schema_is_current():
                return ("the schema is not this program's; run `duyet migrate`",)
        except NewerSchema as problem:
            return (str(problem),)
        except StoreError:
            return (_AWAY,)
        try:
            self._store.try_writing()
        except StoreError:
            return (_UNWRITABLE,)
        return ()
