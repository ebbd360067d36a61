"""The application: settings in, a FastAPI app out, with everything wired.

Each worker process makes its own. Knows which parts there are and how they fit; does nothing
of their work.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
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
from service.storage import Retention, Store, StoreError, StoreUnavailable, utc_now
from service.web import pages

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""How often a worker looks whether the champion's name moved."""

QUEUE_COUNT_SECONDS = 15.0
PRUNE_SECONDS = 3600.0
KEEP_SECONDS = 3600.0
"""How often partitions are made ahead, and what is too old is forgotten."""

FORGET_PAUSE_SECONDS = 0.05
"""How long others may write between two batches of comments that are forgotten."""

IDEMPOTENCY_KEPT = timedelta(days=7)
"""How long a request is recognised when it is sent again."""


class Readiness:
    """Whether comments can be judged and kept."""

    def __init__(self, store: Store, serving: Serving) -> None:
        self._store = store
        self._serving = serving

    def problems(self) -> Sequence[str]:
        """What is missing; asks the store."""
        try:
            current = self._store.schema_is_current()
        except StoreError:
            return ("the store does not answer", *self._serving.problems())
        schema = () if current else ("the schema is not this program's; run `duyet migrate`",)
        return (*schema, *self._serving.problems())


def create() -> FastAPI:
    """The app as the environment sets it. What uvicorn calls in each worker.

    Raises SettingsError, KeyringError.
    """
    settings = load_settings(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    store = Store.open(
        settings.sqlalchemy_url,
        Keyring(settings.secrets_dir),
        replica_url=settings.sqlalchemy_replica_url,
        connections=settings.database_connections,
    )
    return build(settings, store)


def build(settings: Settings, store: Store, *, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """The app over a store, which it closes when it ends. `now` is the clock of all of it."""
    metrics = Metrics()
    serving = Serving(settings.models_dir, metrics)
    deliverability = Deliverability()
    moderation = Moderation(store, serving, now=now, deliverability=deliverability, metrics=metrics)

    kept = Retention(settings.retention_days, settings.spoken_retention_days)

    def keep() -> None:
        store.make_partitions(kept)
        if kept.days:
            store.forget(kept, pause=lambda: time.sleep(FORGET_PAUSE_SECONDS))

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
            asyncio.create_task(_every(KEEP_SECONDS, keep, at_once=True)),
        ]
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
    app.include_router(comments.routes(SiteKeys(store), moderation, store, now))
    app.include_router(health.routes(Readiness(store, serving), metrics))
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


async def _every(seconds: float, chore: Callable[[], object], *, at_once: bool = False) -> None:
    """Do a chore again and again in a thread. One that fails is tried again next time."""
    while True:
        if not at_once:
            await asyncio.sleep(seconds)
        at_once = False
        try:
            await asyncio.to_thread(chore)
        except (StoreError, OSError) as problem:
            log.warning("a chore failed", extra={"problem": type(problem).__name__})
