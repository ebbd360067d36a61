"""The application: settings in, a FastAPI app out, with everything wired.

Each worker process makes its own. Knows which parts there are and how they fit; does nothing
of their work.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from fastapi import FastAPI

from service import logs, problems
from service.access import SiteKeys
from service.api import comments, docs, health, openapi
from service.deliverability import Deliverability
from service.keyring import Keyring
from service.limits import BodyLimit
from service.metrics import Metrics
from service.moderation import Moderation, Overloaded
from service.serving import Serving
from service.settings import Settings, load_settings
from service.spool import Spool
from service.storage import NewerSchema, Store, StoreError, StoreUnavailable, utc_now
from service.web import pages

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""How often a worker looks whether the champion's name moved."""

QUEUE_COUNT_SECONDS = 15.0
REPLAY_SECONDS = 1.0
READINESS_SECONDS = 3.0
PRUNE_SECONDS = 3600.0
IDEMPOTENCY_KEPT = timedelta(days=7)
"""How long a request is recognised when it is sent again."""


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
        if is_away and self._spool is not None and self._spool.has_room():
            found = ()  # comments are kept all the same
        return (*found, *self._serving.problems())

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


def create() -> FastAPI:
    """The app as the environment sets it. What uvicorn calls in each worker.

    Raises SettingsError, KeyringError.
    """
    settings = load_settings(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    _end_with_parent()
    store = Store.open(settings.sqlalchemy_url, Keyring(settings.secrets_dir))
    return build(settings, store)


def build(settings: Settings, store: Store, *, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """The app over a store, which it closes when it ends. `now` is the clock of all of it."""
    metrics = Metrics()
    serving = Serving(settings.models_dir, metrics)
    deliverability = Deliverability()
    spool = Spool(settings.spool_dir, settings.spool_max_bytes) if settings.spool else None
    moderation = Moderation(
        store, serving, now=now, deliverability=deliverability, metrics=metrics, spool=spool
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(serving.refresh)
        chores = [
            asyncio.create_task(_every(REFRESH_SECONDS, serving.refresh)),
            asyncio.create_task(
                _every(QUEUE_COUNT_SECONDS, lambda: metrics.queue_is(store.queue_size(None)))
            ),
            asyncio.create_task(
                _every(
                    PRUNE_SECONDS,
                    lambda: store.prune_idempotency(now() - IDEMPOTENCY_KEPT),
                )
            ),
        ]
        if spool is not None:
            replay = _every(REPLAY_SECONDS, lambda: spool.replay(store))
            chores.append(asyncio.create_task(replay))
        yield
        for chore in chores:
            chore.cancel()
        # Whatever became of the chores, what was accepted is answered.
        await asyncio.gather(*chores, return_exceptions=True)
        await moderation.drain()
        deliverability.close()
        store.close()

    app = FastAPI(
        title="Duyet",
        summary="Comment moderation: accept, reject or queue, with the reason.",
        version=openapi.VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(comments.routes(SiteKeys(store, spool=spool), moderation, store, now))
    app.include_router(health.routes(Readiness(store, serving, spool), metrics))
    secure = settings.own_url.startswith("https://")
    app.include_router(pages.routes(store, secure=secure, now=now))
    docs.install(app)
    openapi.describe(app)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        timeout_seconds=settings.body_timeout_seconds,
        by_path={"/v1/comments/batch": settings.max_batch_bytes},
    )
    problems.install(app, {StoreUnavailable: "store_unavailable", Overloaded: "overloaded"})
    app.add_middleware(logs.RequestLog, seen=metrics.exchanged)  # last, hence outermost
    return app


def _end_with_parent() -> None:
    """Let a worker drain and end when its parent was killed.

    Otherwise it would go on answering, under nobody's care, and keep the port from the next.
    """
    if (parent := multiprocessing.parent_process()) is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


async def _every(seconds: float, chore: Callable[[], object]) -> None:
    """Do a chore again and again in a thread. One that fails is tried again next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(chore)
        except (StoreError, OSError) as problem:
            log.warning("a chore failed", extra={"problem": type(problem).__name__})
