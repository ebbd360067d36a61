"""The command `duyet serve`: prepare what is missing, listen, run the workers."""

import errno
import gc
import os
import signal
import socket
import sys
import threading
import time

import click
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service import first_start, logs
from service.commands.opening import environment, said_plainly
from service.connections import HeadLimited
from service.keyring import KeyringError
from service.metrics import shared_by_workers
from service.room import connections_that_fit
from service.settings import Settings, variable
from service.storage import StoreError, StoreUnavailable, WrongEncoding, utc_now
from service.storage.engine import BUSY_SECONDS

GRACE_SECONDS = 2 * BUSY_SECONDS + 5
"""How long requests may take to end after the service was told to stop: while another process holds
SQLite's lock, a batch in work waits for it, and then the one behind it."""

ASK_AGAIN_SECONDS = 1.0
"""How often a database that was away at the start is asked whether it is there."""


@click.command(
    "serve",
    epilog="""\b
Examples:
  duyet serve                                  on 127.0.0.1:8000, data under ./var
  DUYET_PORT=9000 duyet serve                  on another port
  DUYET_HOST=0.0.0.0 DUYET_WORKERS=4 duyet serve
  DUYET_DATABASE_URL=postgresql://duyet@db/duyet duyet serve

docs/operating.md lists every setting.""",
)
def serve() -> None:
    """Run the service and its queue page until it is told to stop.

    An empty data directory is filled first: secrets that only their owner can read, the
    database, a model, a site with its key and an admin. What is needed to send the first
    comment and to open the queue is printed then, and never again. While PostgreSQL is away
    it runs all the same, not ready, and prepares as soon as it is there. Ctrl-C or SIGTERM
    ends it once the running requests have been answered.
    """
    with said_plainly():
        settings = environment()
        with _listener(settings) as listener:
            logs.configure(settings.log_level, settings.log_format)
            settings = settings.model_copy(update={"port": listener.getsockname()[1]})
            later = _told_now(settings)
            _run(settings, listener)
            if later is not None and later.problem:
                raise click.ClickException(later.problem)


def _told_now(settings: Settings) -> "_Later | None":
    """Prepare and tell, or leave that to the time when the database will be there."""
    try:
        click.echo(_prepared(settings))
    except first_start.CannotPrepare as problem:
        raise click.ClickException(str(problem)) from None
    except StoreUnavailable as problem:
        if isinstance(problem, WrongEncoding) or settings.sqlalchemy_url.startswith("sqlite"):
            raise  # that does not mend itself
        click.echo(f"{str(problem).capitalize()}; it is asked again until it answers.")
        click.echo("Comments are answered 503 until then; `duyet doctor` says what is wrong.")
        return _Later(settings)
    return None


def _prepared(settings: Settings) -> str:
    once = first_start.prepare(settings, utc_now)
    queue = f"{first_start.reachable_url(settings)}/queue"
    return once or f"The queue is at {queue}; `duyet sign-in` makes a link to sign in with."


class _Later:
    """Prepares, in a thread, once a database that was away answers.

    Where that turns out to be one the service cannot use, it ends it, as a start would;
    `problem` says why.
    """

    def __init__(self, settings: Settings) -> None:
        self.problem = ""
        self._settings = settings
        threading.Thread(target=self._prepare, name="preparing", daemon=True).start()

    def _prepare(self) -> None:
        while True:
            time.sleep(ASK_AGAIN_SECONDS)
            try:
                click.echo(_prepared(self._settings))
            except StoreUnavailable:
                continue
            except (first_start.CannotPrepare, KeyringError, StoreError) as problem:
                self.problem = str(problem)
                os.kill(os.getpid(), signal.SIGTERM)
            return


def _listener(settings: Settings) -> socket.socket:
    """A socket bound to the address of the settings, not listening yet.

    Bound before anything is made, so that a taken port changes nothing.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):  # the latter for a label that is no label
        raise click.ClickException(
            f"{settings.host} is no address; set {variable('host')}"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(True)
    except OSError as problem:
        listener.close()
        raise click.ClickException(_unbound(settings, problem)) from None
    return listener


def _unbound(settings: Settings, problem: OSError) -> str:
    place = f"port {settings.port} on {settings.host}"
    if problem.errno == errno.EADDRINUSE:
        return f"{place} is in use; stop what listens there, or set {variable('port')}"
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"{settings.host} is no address of this machine; set {variable('host')}"
    return f"{place} cannot be listened on ({problem.strerror}); set {variable('port')}"


def _run(settings: Settings, listener: socket.socket) -> None:
    gc.freeze()  # what was imported stays: no collection of what follows has to walk it
    os.environ[variable("port")] = str(settings.port)  # 0 until the system chose one
    if settings.workers > 1:
        os.environ.update(shared_by_workers(settings.data_dir))
    config = uvicorn.Config(
        "service.app:create",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=HeadLimited,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=list(settings.trusted_proxies),
        limit_concurrency=connections_that_fit(settings.max_connections),
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    if not _served(config, listener):
        raise click.ClickException("the service did not start; the log says why")


def _served(config: uvicorn.Config, listener: socket.socket) -> bool:
    """Serve until told to stop; whether it ever began."""
    if config.workers > 1:
        supervisor = _Supervisor(config, sockets=[listener])
        supervisor.run()
        return all(worker.exitcode != STARTUP_FAILURE for worker in supervisor.processes)
    # uvicorn raises the signal it ended by once more when all is answered. The default action
    # would make of every clean stop a death by a signal.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except SystemExit as end:  # uvicorn's way to say that the application did not start, too
        return end.code != STARTUP_FAILURE
    finally:
        signal.signal(signal.SIGTERM, before)
    return True


class _Supervisor(Multiprocess):
    """uvicorn's supervisor, which lets go of the port before its workers drain.

    A connection made to a socket that only the supervisor still holds would wait in vain.
    """

    def terminate_all(self) -> None:
        for held in self.sockets:
            held.close()
        super().terminate_all()
