"""The application: settings in, a FastAPI app out, with everything wired.

Each worker process makes its own. Knows which parts there are and how they fit; does nothing
of their work.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

from fastapi import FastAPI

from service import logs, problems
from service.access import SiteKeys
from service.admission import Overloaded
from service.api import akismet, comments, coral, docs, health, openapi, perspective
from service.api.direct import App
from service.api.guard import Guard
from service.api.straight import StraightWay
from service.api.turning_away import TurningAway
from service.body_limit import BodyLimit
from service.chores import chores_of, every, learning_chores
from service.deliverability import Deliverability
from service.digest import DigestPost
from service.keyring import Keyring
from service.metrics import Metrics
from service.moderation import Moderation
from service.pauses import Pauses
from service.promoting import Promoting
from service.rates import RateLimits
from service.readiness import Readiness
from service.serving import Serving, registry_of
from service.settings import Settings, load_settings
from service.shadow import Shadow
from service.spool import Spool
from service.status_links import StatusLinks
from service.storage import Buckets, Store, StoreError, StoreUnavailable, utc_now
from service.storage.shadows import Shadows
from service.tracing import Tracing, are_asked_for
from service.training_jobs import COMMAND, TrainingJobs
from service.web import pages
from service.web.live import listeners_beside

log = logging.getLogger(__name__)

MOST_FORM_BYTES = 64 * 1024 * 1024
"""Of a comment that comes as a form: a visitor's own form may be 8 MiB, all of it escaped, and
its text comes twice. Nearly all is thrown away as it arrives."""

YOUNG_OBJECTS = 10_000
"""After so many new ones the collector looks: a batch alone makes some thousands, and by the
usual 700 it took 3 of 100 parts of the time."""

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
) -> App:
    """The app over a store; it closes that and `tracing` when it ends. `now` is its clock."""
    metrics = Metrics()
    registry = registry_of(settings)
    serving = Serving(registry, metrics)
    deliverability = Deliverability()
    spool = Spool(settings.spool_dir, settings.spool_max_bytes) if settings.spool else None
    rates = RateLimits(Buckets(settings.sqlalchemy_url), usual=settings.rate_limit)
    keys = SiteKeys(store, spool=spool)
    moderation = Moderation(
        store,
        serving,
        now=now,
        deliverability=deliverability,
        metrics=metrics,
        tracing=tracing,
        spool=spool,
        shadow=Shadow(store, serving, metrics),
        most_wait_seconds=settings.max_wait_seconds,
    )

    post = _digest_post(settings, store, metrics)
    shadow_of = Shadows(store).of
    promoting = Promoting(store, registry, shadow_of)
    trainings = _trainings(settings, store, metrics, promoting)
    pauses = Pauses(moderation.is_idle, moderation.is_turning_away)
    chores = chores_of(
        settings,
        store,
        serving,
        metrics,
        spool=spool,
        post=post,
        now=now,
        pauses=pauses,
    ) + learning_chores(trainings, promoting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        await _begun(serving, moderation)
        doing = [asyncio.create_task(every(chore)) for chore in chores]
        # What there is now stays: a collection that walks it took a twentieth of a comment's time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        # For what is refused before it is a request.
        yield {
            "refused": metrics.refused,
            "turn_away": TurningAway(keys, moderation.admission, metrics),
            "take_over": app.straight_ways,
        }
        await _stopped(doing, pauses)
        await moderation.drain()
        await _given_back(trainings)
        await rates.close()
        await _ended(metrics, tracing)
        deliverability.close()
        store.close()

    app = App(
        title="Duyet",
        summary="Comment moderation: accept, reject or queue, with the reason.",
        version=openapi.VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    link = StatusLinks(store.keyring, settings.public_url)
    app.include_router(comments.routes(keys, rates, moderation, store, now=now, link=link))
    app.include_router(health.routes(Readiness(store, serving, spool), metrics))
    pages.install(
        app,
        store,
        secure=settings.own_url.startswith("https://"),
        now=now,
        histograms=serving.histogram,
        most_listeners=listeners_beside(settings.max_connections),
        registry=registry,
        shadow_of=shadow_of,
        serves=serving.version,
        public_url=settings.public_url or "",
    )
    app.state.digests = post
    akismet_door = akismet.AkismetDoor(keys, rates, moderation, store, now=now)
    app.include_router(akismet.routes(akismet_door))
    perspective_door = perspective.PerspectiveDoor(keys, rates, moderation, store)
    app.include_router(perspective.routes(perspective_door, settings.public_url or ""))
    app.include_router(coral.routes(keys, rates, moderation, now=now))
    docs.install(app)
    openapi.describe(app)
    _limit(app, settings)
    problems.install(app, _PROBLEMS)
    app.add_middleware(logs.RequestLog, seen=metrics.exchanged)  # sees every answer
    if tracing is not None:
        app.add_middleware(tracing.middleware)  # last, hence outermost: its id is in every line
    comment_door = comments.CommentDoor(keys, rates, moderation, link)
    _shorten(app, comment_door, akismet_door, settings.max_body_bytes, metrics, tracing)
    return app


def _shorten(
    app: App,
    comment_door: comments.CommentDoor,
    akismet_door: akismet.AkismetDoor,
    max_bytes: int,
    metrics: Metrics,
    tracing: Tracing | None,
) -> None:
    """Lead what comes often past the framework, and whole comments past the server's way too."""
    answer_to = problems.answers(_PROBLEMS)
    app.answer_directly(comments.PATH, comment_door.answer, answer_to=answer_to)
    app.answer_directly(akismet.CHECK, partial(akismet.check, akismet_door), answer_to=answer_to)
    if tracing is not None:  # its spans are those of layers and tasks
        return
    lines = logs.RequestLines(metrics.exchanged)
    app.straight_ways[comments.PATH.encode()] = StraightWay(
        comments.PATH, comment_door.begin, max_bytes=max_bytes, answer_to=answer_to, lines=lines
    )
    app.straight_ways[akismet.CHECK.encode()] = StraightWay(
        akismet.CHECK,
        partial(akismet.begin, akismet_door),
        max_bytes=MOST_FORM_BYTES,
        answer_to=answer_to,
        lines=lines,
        refusal=akismet.refusal,
    )


def _limit(app: App, settings: Settings) -> None:
    """Bound what a body may be, and answer each protocol's clients in its own words."""
    app.add_middleware(  # first, hence innermost
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        timeout_seconds=settings.body_timeout_seconds,
        by_path={comments.BATCH_PATH: settings.max_batch_bytes}
        | dict.fromkeys(akismet.WITH_COMMENTS, MOST_FORM_BYTES),
    )
    for prefix, refusal in (
        (akismet.PREFIXES, akismet.refusal),
        (perspective.PREFIX, perspective.refusal),
        (coral.PREFIX, coral.refusal),
    ):
        app.add_middleware(Guard, prefix=prefix, refusal=refusal)


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


def _trainings(
    settings: Settings, store: Store, metrics: Metrics, promoting: Promoting
) -> TrainingJobs:
    folder = settings.data_dir / "jobs"
    command = (*COMMAND, "--memory", f"{settings.training_max_bytes // 10**6}MB")
    return TrainingJobs(store, folder, metrics, command=command, is_watching=promoting.is_watching)


async def _stopped(chores: Sequence[asyncio.Task[None]], pauses: Pauses) -> None:
    """Whatever becomes of the chores, what was accepted is answered after it."""
    pauses.end()
    for chore in chores:
        chore.cancel()
    await asyncio.gather(*chores, return_exceptions=True)


async def _given_back(trainings: TrainingJobs) -> None:
    try:
        await asyncio.to_thread(trainings.close)
    except StoreError as problem:
        log.warning("a training was not given back", extra={"problem": type(problem).__name__})


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


async def _begun(serving: Serving, moderation: Moderation) -> None:
    """With a model in memory, if there is one, and with what goes on beside the judging."""
    await asyncio.to_thread(serving.refresh)
    moderation.start()


def _digest_post(settings: Settings, store: Store, metrics: Metrics) -> DigestPost | None:
    mailer = settings.mailer
    if mailer is None:
        return None
    return DigestPost(store, mailer, settings.public_url, sent=metrics.digest_settled)
