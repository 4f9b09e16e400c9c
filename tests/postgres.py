"""A PostgreSQL server of the tests' own: a private directory, a loopback port, ended by its own process id."""

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.sandbox.ports import free_port

USER, PASSWORD = "kecs", "correct-horse-4711"
#: Where Debian puts the programs of each version.
DEBIAN = Path("/usr/lib/postgresql")
#: A server for tests survives no power cut, and need not. The rest is set as our sessions must not have it: what was
#: committed would be lost in a crash, and who waited for a lock would see what was before.
OPTIONS = (
    "fsync=off", "full_page_writes=off", "max_connections=40", "synchronous_commit=off",
    "default_transaction_isolation=serializable", "TimeZone=Asia/Tokyo",
)  # fmt: skip

READY_SECONDS = 30

_numbers = count(1)


class PostgresServer:
    """One server; ``database`` gives a URL of a new database, a copy of ``template`` if one is named."""

    def __init__(self, directory: Path, options: tuple[str, ...] = OPTIONS) -> None:
        self.port = free_port()
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """The files of a new cluster, whose superuser may come with a password only."""
        password = self._directory / "password"
        password.write_text(PASSWORD)
        shutil.chown(password, _owner())
        shutil.chown(self._directory, _owner())
        self._run("initdb", "-U", USER, f"--pwfile={password}", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync",
                  "--locale=C.UTF-8", "-D", str(self._directory / "data"))  # fmt: skip

    def start(self) -> None:
        """Begin to serve; returns once connections are taken."""
        settings = [word for option in self._options for word in ("-c", option)]
        command = [program("postgres"), "-D", str(self._directory / "data"), "-h", "127.0.0.1", "-p", str(self.port)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-k", str(self._directory), *settings], stdout=log, stderr=log, **_as_owner()
            )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < until, "PostgreSQL does not begin to answer"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """At once, as a crash would, or in order with SIGINT; does nothing if it is not running."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """As the setting wants it."""
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, template: str = "template0") -> str:
        """The name of a new database."""
        name = f"history{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def end_sessions(self, database: str) -> None:
        """What a restart of the server, or of something between, does to every session of a database at once."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s",
            database,
        )

    def execute(self, statement: str, *values: Any, database: str = "postgres") -> list[Any]:
        """One statement by the superuser, and its rows."""
        url = self.url(database).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        try:
            return bool(self.execute("SELECT 1"))
        except psycopg.OperationalError:
            return False

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run([program(name), *arguments], capture_output=True, check=False, **_as_owner())
        assert done.returncode == 0, f"{name}: {done.stderr.decode()}"


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, of the newest version that is here."""
    found = shutil.which(name, path=os.pathsep.join(map(str, sorted(DEBIAN.glob("*/bin"), reverse=True))))
    found = found or shutil.which(name)
    if found is None:
        pytest.fail(f"PostgreSQL's {name} is not here; on Debian: apt-get install postgresql", pytrace=False)
    return found


def _owner() -> str:
    """PostgreSQL refuses to be run by root; Debian's package comes with a user for it."""
    if os.geteuid() != 0:
        return getpass.getuser()
    return "postgres"


def _as_owner() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam(_owner())
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def running_postgres(options: tuple[str, ...] = OPTIONS) -> Iterator[PostgresServer]:
    """A new server that is gone afterwards."""
    # Below pytest's own directories no other user than ours may look.
    with tempfile.TemporaryDirectory(prefix="kecs-state-postgres-") as directory:
        server = PostgresServer(Path(directory), options)
        try:
            server.make()
            server.start()
            yield server
        finally:
            server.stop()
