"""What is particular to PostgreSQL: its sessions, one writer at a time, and what to do about its errors.

The driver is psycopg 3, the extra ``kecs-state[postgres]``; transactions run in threads as they do on SQLite, so the
asynchronous asyncpg would need a second engine beside this one.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

DRIVER = "postgresql+psycopg"
#: The oldest major version that its makers still mend.
OLDEST_VERSION = 14
#: Until a server that cannot be reached is given up.
CONNECT_SECONDS = 5
#: How long a transaction waits for one of the pool's connections.
POOL_SECONDS = 10
#: How long a migration waits for that of another process.
MIGRATION_SECONDS = 60
#: A peer that has vanished is noticed after some 25 seconds, on either side.
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

#: Of every session, however the server is set up. What was committed is on its disk; who has waited for the writers'
#: lock sees what they wrote; waiting ends as on SQLite; a process that stands still inside a transaction must not hold
#: all others up; and no statement of ours runs for half a minute.
SESSION_SETTINGS = {
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "statement_timeout": "30s",
    **{f"tcp_{name}": str(value) for name, value in KEEPALIVE.items()},
}
#: Advisory locks of ours, 64 bits each; those of hosts are hashes (``app/jobs/claim.py``).
WRITERS, MIGRATIONS = 0x6B656373_00000001, 0x6B656373_00000002

#: SQLSTATE class 42: a table that is not there or not ours. The statements are ours, so the store is what is wrong.
_SCHEMA_TROUBLE = "42"
#: What the server says, and what to do about it.
_REMEDIES = (
    ("password", "Correct user and password in KECS_STATE_DATABASE_URL."),
    ("does not exist", "Make what is named there, or correct KECS_STATE_DATABASE_URL."),
    ("too many", "Raise the server's max_connections or the role's limit: each service takes up to five connections."),
    ("remaining connection slots", "Raise the server's max_connections: each service takes up to five connections."),
    ("permission denied", "Make the role of KECS_STATE_DATABASE_URL the owner of its database."),
    ("QueuePool", "Try again later; if it stays so, restart the service."),
)
_REMEDY = (
    "See that the server runs and that KECS_STATE_DATABASE_URL leads to it; jobs go on by themselves once it does."
)


def create_pool(url: URL, connections: int) -> Engine:
    """An engine with at most that many connections, each looked at before it is used.

    The isolation is said here too: without it, a connection that has read comes back to the pool with the server's.
    """
    return _prepared(
        create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            **_options(),
        )
    )


def for_reading(engine: Engine) -> Engine:
    """The same pool for what only reads: outside of transactions, so that however long rows are worked on here, the
    server is not kept waiting in one."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def connect_alone(url: URL) -> Connection:
    """A connection beside the pool, for as long as its holder lives; each statement a transaction of its own."""
    engine = _prepared(create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", **_options()))
    return engine.connect()


def begin_writing(session: Session) -> None:
    """Wait until no other transaction writes, whichever host's: the next reads see all that was written before.

    Besides the races of read and write, this keeps the ids of events in the order in which they become visible; a
    sequence alone would not, and who follows them by id would miss some.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITERS})


def begin_migrating(connection: Connection) -> None:
    """Wait until no other process migrates; what follows takes the time it takes."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATIONS})


def is_schema_trouble(error: BaseException | None) -> bool:
    """Whether a driver's error says that tables or rights are not as they should be."""
    return str(getattr(error, "sqlstate", None) or "").startswith(_SCHEMA_TROUBLE)


def remedy_for(reason: str) -> str:
    """What to do about something the server or the driver has said."""
    return next((remedy for words, remedy in _REMEDIES if words in reason), _REMEDY)


def _options() -> dict[str, Any]:
    return {
        "hide_parameters": True,
        "connect_args": {
            "application_name": "kecs-state",
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": 20_000,
            **KEEPALIVE,
        },
    }


def _prepared(engine: Engine) -> Engine:
    from psycopg.types.string import StrDumperUnknown

    class WithoutNul(StrDumperUnknown):
        """PostgreSQL's texts cannot hold NUL. Callers may send it, and then mean nothing that we have."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    @event.listens_for(engine, "connect")
    def set_session(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, WithoutNul)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name, value in SESSION_SETTINGS.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.autocommit = False

    return engine
