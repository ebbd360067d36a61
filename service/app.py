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
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from fastapi import FastAPI

from service import logs, problems
from service.access import SiteKeys
from service.api import comments, docs, health, openapi
from service.api.direct import Direct
from service.deliverability import Deliverability
from service.keyring import Keyring
from service.limits import BodyLimit
from service.metrics import Metrics
from service.moderation import Moderation, Overloaded
from service.rates import RateLimits
from service.readiness import Readiness
from service.serving import Serving
from service.settings import Settings, load_settings
from service.spool import Spool
from service.storage import (
    Buckets,
    Retention,
    Store,
    StoreError,
    StoreUnavailable,
    utc_now,
)
from service.tracing import Tracing, are_asked_for
from service.web import pages

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""How often a worker looks whether the champion's name moved."""

QUEUE_COUNT_SECONDS = 15.0
SHARE_SECONDS = 1.0
"""How often one of several workers leaves what it has counted for the others."""

REPLAY_SECONDS = 1.0
PRUNE_SECONDS = 3600.0
KEEP_SECONDS = 3600.0
"""How often partitions are made ahead, and what is too old is forgotten."""

FORGET_PAUSE_SECONDS = 0.05
"""How long others may write between two batches of comments that are forgotten."""

IDEMPOTENCY_KEPT = timedelta(days=7)
"""How long a request is recognised when it is sent again."""


_PROBLEMS = {StoreUnavailable: "store_unavailable", Overloaded: "overloaded"}


def create() -> FastAPI:
    """The app as the environment sets it. What uvicorn calls in each worker.

    Raises SettingsError, KeyringError.
    """
    settings = load_settings(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    _end_with_parent()
    store = Store.open(
        settings.sqlalchemy_url,
        Keyring(settings.secrets_dir),
        replica_url=settings.sqlalchemy_replica_url,
        connections=settings.database_connections,
    )
    return build(settings, store, tracing=_tracing(os.environ))


def build(
    settings: Settings,
    store: Store,
    *,
    now: Callable[[], datetime] = utc_now,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The app over a store; it closes that and `tracing` when it ends. `now` is its clock."""
    metrics = Metrics()
    serving = Serving(settings.models_dir, metrics)
    deliverability = Deliverability()
    spool = Spool(settings.spool_dir, settings.spool_max_bytes) if settings.spool else None
    rates = RateLimits(Buckets.open(settings.sqlalchemy_url), usual=settings.rate_limit)
    moderation = Moderation(
        store,
        serving,
        now=now,
        deliverability=deliverability,
        metrics=metrics,
        tracing=tracing,
        spool=spool,
        most_wait_seconds=settings.max_wait_seconds,
    )

    def empty_spool() -> None:
        assert spool is not None, "the chore of a spool"
        try:
            spool.replay(store)
        finally:
            metrics.spool_is(spool.size())

    def count_queue() -> None:
        metrics.queue_is(store.queue_size(None), store.oldest_waiting(None), now())

    kept = Retention(settings.retention_days, settings.spoken_retention_days)

    def keep() -> None:
        store.make_partitions(kept)
        if kept.days:
            store.forget(kept, pause=lambda: time.sleep(FORGET_PAUSE_SECONDS))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        await asyncio.to_thread(serving.refresh)
        chores = [
            asyncio.create_task(_every(REFRESH_SECONDS, serving.refresh)),
            asyncio.create_task(_every(QUEUE_COUNT_SECONDS, count_queue)),
            asyncio.create_task(
                _every(
                    PRUNE_SECONDS,
                    lambda: store.prune_idempotency(now() - IDEMPOTENCY_KEPT),
                )
            ),
            asyncio.create_task(_every(KEEP_SECONDS, keep, at_once=True)),
        ]
        if spool is not None:
            chores.append(asyncio.create_task(_every(REPLAY_SECONDS, empty_spool)))
        if metrics.is_shared:
            chores.append(asyncio.create_task(_every(SHARE_SECONDS, metrics.share)))
        yield {"refused": metrics.refused}  # for what is refused before it is a request
        for chore in chores:
            chore.cancel()
        # Whatever became of the chores, what was accepted is answered.
        await asyncio.gather(*chores, return_exceptions=True)
        await moderation.drain()
        await rates.close()
        await _ended(metrics, tracing)
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
    keys = SiteKeys(store, spool=spool)
    app.include_router(comments.routes(keys, rates, moderation, store, now=now))
    app.include_router(health.routes(Readiness(store, serving, spool), metrics))
    secure = settings.own_url.startswith("https://")
    app.include_router(pages.routes(store, secure=secure, now=now))
    docs.install(app)
    openapi.describe(app)
    app.add_middleware(  # first, hence innermost
        Direct,
        path="/v1/comments",
        answer=comments.CommentDoor(keys, rates, moderation).answer,
        answer_to=problems.answers(_PROBLEMS),
    )
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        timeout_seconds=settings.body_timeout_seconds,
        by_path={"/v1/comments/batch": settings.max_batch_bytes},
    )
    problems.install(app, _PROBLEMS)
    app.add_middleware(logs.RequestLog, seen=metrics.exchanged)  # sees every answer
    if tracing is not None:
        app.add_middleware(tracing.middleware)  # last, hence outermost: its id is in every line
    return app


def _tracing(environ: Mapping[str, str]) -> Tracing | None:
    """Without the packages the log says so: what cannot be watched has comments to judge."""
    if not are_asked_for(environ):
        return None
    try:
        from service.otel import OpenTelemetry  # noqa: PLC0415  hundreds of modules few need
    except ImportError:
        log.error("no traces are sent: install what they need with `pip install duyet[otel]`")
        return None
    return OpenTelemetry()


async def _ended(metrics: Metrics, tracing: Tracing | None) -> None:
    """Leave the last counts and spans where they belong."""
    try:
        await asyncio.to_thread(metrics.share)
    except OSError as problem:
        log.warning("the last counts were lost", extra={"problem": type(problem).__name__})
    if tracing is not None:
        await asyncio.to_thread(tracing.close)


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
