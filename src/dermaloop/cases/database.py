"""The database: how it is opened, what a transaction is, and how its tables come to be.

Owns the engine, the two kinds of transaction and the way up to the newest schema. Refuses to know any table.

SQLite and PostgreSQL behave alike here: **writers queue**. A writing transaction takes the database's one writer lock
when it begins (SQLite: `BEGIN IMMEDIATE`; PostgreSQL: an advisory lock), so two writers can neither dead-lock nor fork
the audit chain, and what a writer has read stays true until it commits. The trade-off: writing transactions run one
after the other, so they must be short; pictures are stored and classified before one begins, never inside it. Readers
never wait for writers.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session

from dermaloop.cases.anchor import Anchor
from dermaloop.cases.errors import NewerDatabaseError, StoreBusyError, StoreError
from dermaloop.core.errors import MissingExtraError

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_S = 30
_POOL_SIZE = 16
_WRITER_LOCK = 0x6465726D616C6F6F  # "dermaloo"; any number that no other program on the database uses

Transaction = Session
"""What `Database.begin` and `Database.read` give; the layers above name it so, since the library is this layer's."""


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A point in time: aware and in UTC going in and coming out, whatever the database makes of it in between."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Into the database; a time without its zone is a defect of the caller's."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a time without zone"
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Out of the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables. Constraints have predictable names, so that a migration can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime()}  # noqa: RUF012 - the library's way to declare it


def new_id() -> str:
    """An id for a new record: UUIDv4 as text, which says nothing about the record and cannot be guessed."""
    return str(uuid.uuid4())


def now() -> datetime:
    """The present time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Database:
    """An open database.

    Attributes:
        engine: SQLAlchemy's engine.
        audit_key: The secret that keys the audit chain (`cases.audit`).
        anchor: Where the end of the audit chain is noted outside the database; None keeps no note.
        models: Folder of the registered bundles (`cases.model_files`); None where there is no registry.
    """

    engine: sa.Engine
    audit_key: bytes
    anchor: Anchor | None = None
    models: Path | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is SQLite, in a file of ours."""
        return self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        """One writing transaction: committed, on disk, when the block ends well; rolled back on any error.

        Keep it short and free of slow work: all other writers wait.

        Raises:
            StoreBusyError: The writer lock was not to be had within 30 seconds.
            StoreError: The database cannot be reached, or is full.
        """
        from dermaloop.cases.audit import head_of  # noqa: PLC0415 - its table needs Base

        with _translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.info["audit_key"] = self.audit_key
            session.info["database"] = self
            take_writer_lock(session.connection())
            yield session
            head = head_of(session) if session.info.get("audited") else None
            session.commit()
            if head is not None and self.anchor is not None:
                self.anchor.advance(*head)

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """One reading transaction: one moment's view of everything; a write in it is an error.

        Raises:
            StoreError: As `begin`.
        """
        engine = self.engine.execution_options(dermaloop_reads=True, postgresql_readonly=True)
        if not self.embedded:
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with _translated(), Session(engine, expire_on_commit=False) as session, session.begin():
            session.info["database"] = self
            yield session

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()


def take_writer_lock(connection: sa.Connection) -> None:
    """Waits for the one place of the writers; it is given back when the transaction ends."""
    if connection.dialect.name != "sqlite":  # SQLite took it with BEGIN IMMEDIATE
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_BUSY_S}s'"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})


def open_database(url: str, audit_key: bytes, anchor: Anchor | None = None, models: Path | None = None) -> Database:
    """Opens a database; makes the file where SQLite's is not there yet. Tables are made by `upgrade`.

    Args:
        url: `sqlite:///PATH`, or `postgresql+psycopg://USER:PASSWORD@HOST/NAME`.
        audit_key: The secret that keys the audit chain, 32 bytes; kept outside the database.
        anchor: See `Database`.
        models: See `Database`.

    Raises:
        StoreError: The address cannot be understood.
        MissingExtraError: PostgreSQL's client library is not installed.
    """
    try:
        address = sa.make_url(url)
    except ArgumentError as error:
        raise _bad_address(url) from error
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername == "sqlite" and address.database not in (None, "", ":memory:"):
        engine = _open_sqlite(address)
    elif address.drivername == "postgresql+psycopg":
        try:
            engine = sa.create_engine(address, pool_size=_POOL_SIZE, pool_pre_ping=True, hide_parameters=True)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "PostgreSQL needs a client library that is not installed",
                way_out="Install it: pip install 'dermaloop[department]'.",
            ) from error
    else:
        raise _bad_address(address.render_as_string(hide_password=True))
    return Database(engine, audit_key, anchor, models)


def _bad_address(shown: str) -> StoreError:
    return StoreError(
        f"{shown!r} is no address of a database",
        where="database",
        way_out="Use sqlite:///PATH/TO/FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )


def _open_sqlite(address: sa.URL) -> sa.Engine:
    path = Path(str(address.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):  # records of patients: readable by their owner only
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database cannot be made ({error.strerror})", where=str(path), way_out="Choose another folder."
        ) from error
    # Parameters are patients' data: no error may quote them.
    engine = sa.create_engine(address, pool_size=_POOL_SIZE, connect_args={"timeout": _BUSY_S}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # else Python's driver begins transactions of its own, too late to be safe
        for pragma in (
            "journal_mode=WAL",  # readers never wait for the writer
            "synchronous=FULL",  # what was acknowledged survives a power cut
            "foreign_keys=ON",
            "secure_delete=ON",  # what a patient had deleted is overwritten, not only unlinked
            "recursive_triggers=ON",  # else REPLACE would delete without the triggers that refuse it
            f"busy_timeout={_BUSY_S * 1000}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("dermaloop_reads", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turns what the databases say of themselves into our errors; what they say of a row stays as it is."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreBusyError("all connections to the database are in use", way_out="Try again.") from error
    except OperationalError as error:
        text = str(error.orig).splitlines()[0] if error.orig else "no answer"
        if "locked" in text or "lock timeout" in text:
            raise StoreBusyError("the database is busy", way_out="Try again.") from error
        raise StoreError(
            f"the database cannot be used ({text})",
            where="database",
            way_out="Check that it is reachable and that the disk has room; `dermaloop store check` says more.",
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreBusyError("the connection to the database was lost", way_out="Try again.") from error
        if (
            type(error) is not DatabaseError
        ):  # its kinds speak of a row or of a statement, and are the caller's to judge
            raise
        raise StoreError(
            f"the database is damaged ({error.orig})",
            where="database",
            way_out="Restore it from a backup; docs/store.md says how.",
        ) from error
    except NoSuchModuleError as error:
        raise StoreError("this kind of database is not supported", where="database") from error


def upgrade(database: Database) -> None:
    """Brings the tables to this program's version, in one transaction: wholly, or on any error not at all.

    Several servers may start at once: the first does it, the others wait and find it done.

    Raises:
        NewerDatabaseError: The database was written by a newer program. Nothing was changed.
        StoreError: As `Database.begin`.
    """
    from alembic import command  # noqa: PLC0415 - only needed when a server starts
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _translated(), database.engine.begin() as connection:
        take_writer_lock(connection)
        known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
        found = MigrationContext.configure(connection).get_current_heads()
        unknown = [revision for revision in found if revision not in known]
        if unknown:
            raise NewerDatabaseError(
                f"the database was written by a newer version of dermaloop (its schema is {', '.join(unknown)})",
                where=database.engine.url.render_as_string(hide_password=True),
                way_out="Install that version again, or restore a backup made with this one.",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
