"""Is this deployment well? A list of checks, each with what was found and what to do.

Knows settings, files, the machine and the network's edge; asks the store, the keyring and the
registry about themselves. Changes nothing that is kept. No finding holds a secret, an address
or anything that was sent.
"""

import http.client
import importlib.util
import ipaddress
import os
import resource
import shutil
import socket
import ssl
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from model.guard import Guard
from model.refusals import Refusal, RegistryError
from model.registry import CHAMPION, RELEASED, Registry
from service.keyring import Keyring, KeyringError
from service.mail import Unsent
from service.serving import bucket_of
from service.settings import Settings
from service.storage import Store, StoreError, utc_now
from service.storage.digests import Digests
from service.storage.inspection import Inspected, inspected, keys_that_are_not_its_own
from service.tracing import are_asked_for

GIB = 1024**3
LEAST_FREE, LITTLE_FREE = GIB // 2, 2 * GIB
FEW_FILES, FEWEST_FILES = 4096, 1024
SLOW_COMMIT, SLOWEST_COMMIT = timedelta(milliseconds=50), timedelta(milliseconds=500)
CLOCKS_DIFFER, CLOCKS_DIFFER_MUCH = timedelta(seconds=2), timedelta(seconds=60)
LONG_WAIT = timedelta(days=1)
SOON_EXPIRED = timedelta(days=14)
NETWORK_SECONDS = 5.0
OLDEST = {"PostgreSQL": (14,), "SQLite": (3, 37)}
_AGAINST: Mapping[Refusal, str] = {
    Refusal.ABSENT: "restore what is gone from a backup, or promote one that is there",
    Refusal.UNREADABLE: "restore it from a backup, then `duyet models sign`",
    Refusal.CHANGED: "find out who writes there, and restore a backup; where it is a "
    "version alone, `duyet models rollback`",
    Refusal.UNSIGNED: "`duyet models sign`, if you know whose it is",
    Refusal.FOREIGN: "add the key to DUYET_TRUSTED_MODEL_KEYS, or `duyet models sign`",
    Refusal.ROLLED_BACK: "find out who put it there; `duyet models sign` if that was you",
    Refusal.AWAY: "see that the bucket of DUYET_MODELS_URL answers (AWS_ENDPOINT_URL, AWS_REGION)",
    Refusal.OVERTAKEN: "look again",
    Refusal.UNFIT: "`duyet models rollback`, or promote one that loads",
}
_ANYBODY = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


class State(StrEnum):
    """How bad it is: `warn` works and should be looked at, `fail` does not, or loses something."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what was found, and one of what to do; the latter is empty when all is well."""

    check: str
    state: State
    what: str
    fix: str = ""


Findings = Iterator[Finding]


def _ok(check: str, what: str) -> Finding:
    return Finding(check, State.OK, what)


def _warn(check: str, what: str, fix: str) -> Finding:
    return Finding(check, State.WARN, what, fix)


def _fail(check: str, what: str, fix: str) -> Finding:
    return Finding(check, State.FAIL, what, fix)


@dataclass(slots=True)
class Patient:
    """What is examined. Later checks use what earlier ones found out."""

    settings: Settings
    environ: Mapping[str, str]
    keyring: Keyring | None = None
    database: Inspected | None = None
    now: Callable[[], datetime] = field(default=utc_now)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.settings.sqlalchemy_url.startswith("sqlite")


def findings(settings: Settings, environ: Mapping[str, str]) -> Findings:
    """All findings, in the order of the checks."""
    patient = Patient(settings, environ)
    for check in CHECKS:
        yield from check(patient)


# ------------------------------------------------------------------ files


def data_directory(at: Patient) -> Findings:
    """Whether it is there, private and can be written."""
    check, directory = "data directory", at.settings.data_dir
    try:
        found = directory.stat()
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"duyet")
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        yield _fail(
            check,
            f"{directory} is not there",
            "start `duyet serve` or `duyet migrate`, or set DUYET_DATA_DIR",
        )
        return
    except OSError as problem:
        yield _fail(
            check,
            f"{directory} cannot be written ({problem.strerror})",
            "let the service's user write to it (chown, mount, free space), or set DUYET_DATA_DIR",
        )
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        yield _fail(
            check, f"{directory} may be written by others (mode {mode:o})", f"chmod 700 {directory}"
        )
    elif mode & 0o055:
        yield _warn(
            check, f"{directory} may be read by others (mode {mode:o})", f"chmod 700 {directory}"
        )
    elif found.st_uid != os.geteuid():
        yield _warn(
            check,
            f"{directory} belongs to another user ({found.st_uid})",
            "run this as the service's user",
        )
    else:
        yield _ok(check, f"{directory} is private and can be written")


def disk(at: Patient) -> Findings:
    """Whether there is room for what is to come."""
    directory = at.settings.data_dir
    while not directory.exists():
        directory = directory.parent
    free, entries = shutil.disk_usage(directory).free, os.statvfs(directory)
    what = f"{free / GIB:.1f} GiB free under {directory}"
    fix = "make room or enlarge the volume; when it is full, comments are answered 503"
    if entries.f_files and entries.f_favail < 1000:
        yield _fail("disk", f"no more than {entries.f_favail} files can be made", fix)
    if free < LEAST_FREE:
        yield _fail("disk", what, fix)
    elif free < LITTLE_FREE:
        yield _warn("disk", what, fix)
    else:
        yield _ok("disk", what)


def secrets(at: Patient) -> Findings:
    """Whether the keys are there, whole and private."""
    directory = at.settings.secrets_dir
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
        at.keyring = Keyring(directory)
    except KeyringError as problem:
        what, _, fix = str(problem).partition("; ")
        yield _fail("secrets", what, fix or "restore it from a backup, readable by this user")
        return
    except OSError as problem:
        yield _fail(
            "secrets",
            f"{directory} cannot be read ({problem.strerror})",
            "a new deployment: start `duyet serve`; else restore it from a backup",
        )
        return
    if mode & 0o022:
        yield _fail("secrets", f"{directory} may be written by others", f"chmod 700 {directory}")
    else:
        yield _ok("secrets", f"{len(at.keyring.address_key_ids) + 2} keys, private")


# ------------------------------------------------------------------ the database


def database(at: Patient) -> Findings:
    """Whether it answers, is what the program needs, and commits fast enough."""
    check = "database"
    if at.is_sqlite and not (path := _sqlite_file(at.settings)).is_file():
        yield _fail(
            check, f"{path} is not there", "start `duyet serve` or `duyet migrate`, or restore it"
        )
        return
    try:
        found = at.database = inspected(at.settings.sqlalchemy_url)
    except StoreError as problem:
        yield _fail(
            check,
            str(problem),
            "see that it runs, that it may be written, and that host, user and password of "
            "DUYET_DATABASE_URL are right",
        )
        return
    except ValueError as problem:
        yield _fail(check, str(problem), "correct DUYET_DATABASE_URL")
        return
    version = ".".join(map(str, found.version))
    if found.version < OLDEST[found.name]:
        oldest = ".".join(map(str, OLDEST[found.name]))
        yield _warn(check, f"{found.name} {version} is old", f"update it to {oldest} or newer")
    if found.encoding.replace("-", "").upper() != "UTF8":
        yield _fail(
            check,
            f"its encoding is {found.encoding}",
            "make a database with ENCODING 'UTF8' and move the data there",
        )
    if not found.is_durable:
        yield _fail(
            check,
            "a commit does not wait for the disk",
            "set fsync = on and synchronous_commit = on in PostgreSQL",
        )
    yield _ok(check, f"{found.name} {version} answers")


def schema(at: Patient) -> Findings:
    """Whether the schema is this program's."""
    found = at.database
    if found is None:
        return
    if found.is_current:
        yield _ok("schema", f"at {found.schema_at}, this program's")
    elif not found.schema_is_known:
        yield _fail(
            "schema",
            f"at {found.schema_at}, which a newer program made",
            "install the program that made it, or a newer one",
        )
    else:
        what = f"at {found.schema_at}, which is old" if found.schema_at else "there are no tables"
        yield _fail("schema", what, "run `duyet migrate`")


def commit(at: Patient) -> Findings:
    """How long it takes until something is durable: what each batch waits for."""
    if at.database is None:
        return
    took = at.database.commit
    what = f"a durable commit takes {took / timedelta(milliseconds=1):.1f} ms"
    fix = "use a faster or local disk, or a database that is nearer"
    if took >= SLOWEST_COMMIT:
        yield _fail("commit", what, fix)
    elif took >= SLOW_COMMIT:
        yield _warn("commit", what, fix)
    else:
        yield _ok("commit", what)


def clock(at: Patient) -> Findings:
    """Whether this machine and the database agree on the time."""
    if at.database is None:
        return
    if at.is_sqlite:
        yield _ok("clock", "the database uses this machine's")
        return
    ahead = at.database.clock_ahead
    what = f"the database's clock is {ahead.total_seconds():+.1f} s from this machine's"
    fix = "let NTP set both clocks; `timedatectl` shows whether it does"
    if abs(ahead) >= CLOCKS_DIFFER_MUCH:
        yield _fail("clock", what, fix)
    elif abs(ahead) >= CLOCKS_DIFFER:
        yield _warn("clock", what, fix)
    else:
        yield _ok("clock", what)


def keys_and_database(at: Patient) -> Findings:
    """Whether these keys are those that the database was written with."""
    if at.keyring is None or at.database is None or not at.database.is_current:
        return
    try:
        other = keys_that_are_not_its_own(at.settings.sqlalchemy_url, at.keyring)
    except StoreError as problem:
        yield _fail("keys", str(problem), "see that the database can be read")
        return
    if other:
        yield _fail(
            "keys",
            f"the database was written with another {', '.join(other)}",
            f"restore it in {at.settings.secrets_dir} from the backup of that time",
        )
    else:
        yield _ok("keys", "they are those the database was written with")


def queue(at: Patient) -> Findings:
    """Whether somebody decides what waits."""
    if at.keyring is None or at.database is None or not at.database.is_current:
        return
    store = Store.open(at.settings.sqlalchemy_url, at.keyring)
    try:
        waiting, since = store.queue_size(None), store.oldest_waiting(None)
    except StoreError as problem:
        yield _fail("queue", str(problem), "see that the database can be read")
        return
    finally:
        store.close()
    waits = at.now() - since if since is not None else timedelta(0)
    what = f"{waiting:,} wait, the oldest for {waits.total_seconds() / 3600:.1f} hours"
    if waits >= LONG_WAIT:
        yield _warn("queue", what, "decide them (`duyet queue list`), or accept a higher risk")
    else:
        yield _ok("queue", what)


# ------------------------------------------------------------------ the model


def model(at: Patient) -> Findings:
    """Whether the registry is believed and the champion loads, as the service would load it."""
    try:
        guard = Guard.to_read(
            at.settings.secrets_dir, at.settings.trusted_model_keys, released=RELEASED
        )
        registry = Registry(at.settings.models_dir, guard, bucket_of(at.settings))
        champion = registry.load(CHAMPION)
        registry.moves()
        broken = [to for to in registry.names().values() if not registry.is_right(to)]
    except KeyringError as problem:
        yield _fail(
            "model",
            str(problem),
            "restore it; or start `duyet serve`, which makes a new key, and vouch for what lies "
            "there by `duyet models sign --all --why …` (docs/promotion.md)",
        )
    except RegistryError as problem:
        yield _fail("model", str(problem), _AGAINST[problem.refusal])
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError) as problem:
        yield _fail(
            "model",
            f"the champion cannot be loaded ({type(problem).__name__})",
            f"see that {at.settings.models_dir} can be read, or `duyet models rollback`",
        )
    else:
        if registry.shared is not None and registry.shared.is_away:
            what = "the bucket of the models does not answer; what was brought goes on serving"
            yield _fail("model", what, _AGAINST[Refusal.AWAY])
        if broken:
            what = f"{broken[0]}, which is no champion, is not what was written"
            yield _warn("model", what, "find out who writes there; `duyet train` makes it anew")
        yield _ok("model", f"{champion.version} is signed, loads and scores as it was fitted")


# ------------------------------------------------------------------ the machine


def open_files(at: Patient) -> Findings:
    """Whether there may be as many connections as a service needs."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = f"a process may have {most:,} files and connections open"
    fix = f"allow {FEW_FILES} or more: LimitNOFILE= in systemd, `ulimit -n` in a shell"
    if most in (resource.RLIM_INFINITY, -1) or most >= FEW_FILES:
        yield _ok("open files", what)
    elif most >= FEWEST_FILES:
        yield _warn("open files", what, fix)
    else:
        yield _fail("open files", what, fix)


def workers(at: Patient) -> Findings:
    """Whether there are as many as processors and database can use."""
    wanted, cores = at.settings.workers, len(os.sched_getaffinity(0))
    what = f"{wanted} on {cores} processors"
    if at.is_sqlite and wanted > 1:
        yield _warn(
            "workers",
            f"{what}, over SQLite, which takes one writer at a time",
            "set DUYET_WORKERS=1, or use PostgreSQL",
        )
    elif wanted > cores:
        yield _warn("workers", what, f"set DUYET_WORKERS to {cores} or less")
    else:
        yield _ok("workers", what)


def port(at: Patient) -> Findings:
    """Whether the service answers on its port, or could listen there."""
    host, number = at.settings.host, at.settings.port
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    place = f"port {number} on {host}"
    if number == 0:
        yield _ok("port", "the system chooses one")
        return
    try:
        connection = http.client.HTTPConnection(near, number, timeout=NETWORK_SECONDS)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(65_536)
        connection.close()
    except (ConnectionRefusedError, socket.gaierror):
        yield _free(place, host, number)
        return
    except (OSError, http.client.HTTPException):
        yield _fail(
            "port",
            f"{place} is taken by something that does not answer",
            "look what it is (`ss -ltnp`), stop it, or set DUYET_PORT",
        )
        return
    if answer.status == 200 and b'"ready"' in said:
        yield _ok("port", f"the service runs on {place}, and is ready")
    elif answer.status == 503 and b"not_ready" in said:
        yield _fail(
            "port", f"the service runs on {place}, and is not ready", "mend what else fails here"
        )
    else:
        yield _fail(
            "port",
            f"another program answers on {place}",
            "look what it is (`ss -ltnp`), stop it, or set DUYET_PORT",
        )


def _free(place: str, host: str, number: int) -> Finding:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as problem:
        return _fail(
            "port",
            f"{place} cannot be listened on ({problem.strerror})",
            "set DUYET_HOST to an address of this machine, DUYET_PORT to a free port",
        )
    return _ok("port", f"{place} is free; the service does not run")


# ------------------------------------------------------------------ the edge


def proxies(at: Patient) -> Findings:
    """Whether the addresses of visitors can be believed, and are seen."""
    trusted = [ipaddress.ip_network(each, strict=False) for each in at.settings.trusted_proxies]
    fix = "set DUYET_TRUSTED_PROXIES to the address of the proxy in front"
    if any(each in _ANYBODY for each in trusted):
        yield _fail("proxies", "anybody is believed who says which address a visitor has", fix)
    elif not _is_loopback(at.settings.host) and all(each.is_loopback for each in trusted):
        yield _warn(
            "proxies",
            "a proxy on another machine would be taken for every visitor",
            f"{fix}; without one, this is right",
        )
    else:
        yield _ok("proxies", f"{len(trusted)} believed")


def public_url(at: Patient) -> Findings:
    """Whether people reach the service by HTTPS, with a certificate that holds a while."""
    url = urlsplit(at.settings.own_url)
    host = url.hostname or ""
    if url.scheme != "https":
        if _is_loopback(host):
            yield _ok("public URL", f"{at.settings.own_url}, on this machine alone")
        else:
            yield _warn(
                "public URL",
                "it is not https: keys and sessions travel in clear",
                "put a proxy with TLS in front, and set DUYET_PUBLIC_URL=https://…",
            )
        return
    yield _certificate(host, url.port or 443, at.now())


def _certificate(host: str, number: int, now: datetime) -> Finding:
    check, context = "certificate", ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, number), timeout=NETWORK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as problem:
        return _fail(check, f"not trusted: {problem.verify_message}", "renew it at the proxy")
    except (OSError, UnicodeError) as problem:
        return _warn(
            check,
            f"{host} port {number} does not speak TLS to this machine ({type(problem).__name__})",
            "see that the proxy runs and that this machine may reach it",
        )
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
    what = f"good for {(ends - now).days} more days"
    if ends - now < SOON_EXPIRED:
        return _warn(check, what, "renew it at the proxy, and see why that is not automatic")
    return _ok(check, what)


def traces(at: Patient) -> Findings:
    """Whether traces that are asked for can be sent."""
    if not are_asked_for(at.environ):
        return
    if importlib.util.find_spec("opentelemetry.exporter") is None:
        yield _warn(
            "traces",
            "an endpoint is set, the packages are not installed",
            "pip install 'duyet[otel]'",
        )
    else:
        yield _ok("traces", "sent to the endpoint of the environment")


def mail(at: Patient) -> Findings:
    """Whether digests can be handed in, and were."""
    mailer = at.settings.mailer
    if mailer is None:
        return
    try:
        mailer.check()
    except Unsent as problem:
        fix = "see DUYET_SMTP_URL in docs/digest.md; digests are tried again until then"
        yield _fail("mail", str(problem), fix)
    else:
        yield _ok("mail", "the mail server takes what is sent")
    if at.keyring is None or at.database is None or not at.database.is_current:
        return
    store = Store.open(at.settings.sqlalchemy_url, at.keyring)
    try:
        unsent = Digests(store).problems()
    except StoreError:
        return  # said by those that ask the database for more
    finally:
        store.close()
    if unsent:
        what = f"{len(unsent)} digests were not sent: {unsent[0].problem}"
        yield _warn("digests", what, "mend what the mail server refuses; /digest says it too")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _sqlite_file(settings: Settings) -> Path:
    return Path(settings.sqlalchemy_url.split("///", 1)[1].partition("?")[0])


CHECKS: tuple[Callable[[Patient], Findings], ...] = (
    data_directory,
    disk,
    secrets,
    database,
    schema,
    commit,
    clock,
    keys_and_database,
    queue,
    model,
    open_files,
    workers,
    port,
    proxies,
    public_url,
    traces,
    mail,
)
