"""PostgreSQL servers that a drill may stop, kill and replace. Durable, unlike the tests' own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from benchmarks.postgres import HOW_TO_GET_ONE, runner
from tests.faults.running import free_port

USER = "duyet"


class Server:
    """One server on a port of loopback, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        run = runner(directory)
        if run is None:
            pytest.skip(HOW_TO_GET_ONE)
        self.run = run
        self.directory = directory
        self.port = free_port()

    def create(self) -> None:
        """A new, empty cluster that lets a standby follow it."""
        self.run("initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE duyet TEMPLATE template0")

    def follow(self, other: "Server") -> None:
        """Become a standby that streams from `other`, which waits for it before it commits."""
        primary = f"host=127.0.0.1 port={other.port} user={USER} application_name=standby"
        self.run("pg_basebackup", "-D", "data", "-d", primary, "-R", "-X", "stream", "-c", "fast")
        self.start()
        other.set("synchronous_standby_names", "standby")

    def start(self) -> None:
        options = f"-k {self.directory} -c listen_addresses=127.0.0.1 -c port={self.port}"
        self.run("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is a crash: recovery runs at the next start. `fast` is a clean stop."""
        if (self.directory / "data" / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def promote(self) -> None:
        """From standby to primary."""
        self.run("pg_ctl", "-D", "data", "-w", "promote")

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")

    def url(self, database: str, *, port: int = 0) -> str:
        """Where a database is; by way of another port if one is given."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}"


@contextmanager
def a_server() -> Iterator[Server]:
    """A server that is not created yet, stopped and removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="duyet-drill-"))
    os.chmod(directory, 0o755)
    try:
        made = Server(directory)
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(directory)
