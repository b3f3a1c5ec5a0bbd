"""Connections to the source database, and its errors in plain words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2 import errors as pg
from psycopg2 import extensions

from ingestion.errors import (
    DataError,
    IngestionError,
    LockedError,
    MissingError,
    ServiceError,
)
from ingestion.settings import Settings

# The text of dates, times, floats and bytes must not depend on the server's settings.
# No timeout of the server may end a transaction that is idle while its workers read;
# row security must fail rather than hide rows.
SESSION_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "row_security": "off",
    "lock_timeout": "30s",
}

# What a server older than PostgreSQL 17 does not know cannot be among the options: it would
# refuse the connection.
NEWER_SETTINGS = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"
)

# The oldest server whose snapshots, slots and publications are what we need.
OLDEST_SERVER = 14

# A server that disappears without closing the connection is detected in a minute, not in hours.
KEEPALIVES = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


def session_options() -> str:
    """The session settings as libpq's ``options``."""
    escaped = (
        f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in SESSION_SETTINGS.items()
    )
    return " ".join(escaped)


def reader_uri(settings: Settings, application: str) -> str:
    """libpq URI of the source for the user that only reads."""
    return _uri(settings, application, settings.source_reader_user)


def _uri(settings: Settings, application: str, user: str) -> str:
    passwords = {
        settings.source_reader_user: settings.source_reader_password,
        settings.source_owner_user: settings.source_owner_password,
        settings.source_capture_user: settings.source_capture_password,
    }
    password = quote(passwords[user].get_secret_value(), safe="")
    tls: dict[str, str] = {"sslmode": settings.pgsslmode}
    if settings.pgsslrootcert:
        tls["sslrootcert"] = settings.pgsslrootcert
    return (
        f"postgresql://{quote(user, safe='')}:{password}@{settings.postgres_host}"
        f":{settings.postgres_port}/{quote(settings.source_db, safe='')}"
        f"?application_name={quote(application)}&connect_timeout=10"
        f"&options={quote(session_options())}&{urlencode(KEEPALIVES | tls, quote_via=quote)}"
    )


def connect_reader(settings: Settings, application: str) -> extensions.connection:
    """Connect as the user that only reads.

    Raises:
        ServiceError: the server cannot be reached or refuses the login.
    """
    return _connect(settings, application, settings.source_reader_user)


def connect_owner(settings: Settings, application: str) -> extensions.connection:
    """Connect as the owner of the source's tables.

    Raises:
        ServiceError: the server cannot be reached or refuses the login.
    """
    return _connect(settings, application, settings.source_owner_user)


def connect_capture(settings: Settings, application: str) -> extensions.connection:
    """Connect as the user that reads the log, and sees no table.

    Raises:
        ServiceError: the server cannot be reached or refuses the login.
    """
    return _connect(settings, application, settings.source_capture_user)


def _connect(settings: Settings, application: str, user: str) -> extensions.connection:
    where = f"{settings.postgres_host}:{settings.postgres_port}"
    try:
        connection = psycopg2.connect(_uri(settings, application, user))
    except psycopg2.OperationalError as error:
        raise ServiceError(
            f"cannot connect to PostgreSQL at {where}: {first_line(error)}", _remedy(error)
        ) from None
    if connection.server_version < OLDEST_SERVER * 10_000:
        version = connection.info.parameter_status("server_version")
        connection.close()
        raise ServiceError(
            f"the source at {where} is PostgreSQL {version}",
            f"PostgreSQL {OLDEST_SERVER} is the oldest that can be read",
        )
    with connection, connection.cursor() as cursor:
        cursor.execute(NEWER_SETTINGS)
    return connection


def _remedy(error: psycopg2.OperationalError) -> str:
    text = str(error)
    if "unsupported startup parameter" in text:
        return "PgBouncer does not pass our settings on: connect to the server itself"
    if "SSL" in text or "certificate" in text or "no encryption" in text:
        return "PGSSLMODE and PGSSLROOTCERT in .env say how the server is reached by TLS"
    return "`make status` shows what runs, `make up` starts it; host, port and password are in .env"


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turn PostgreSQL's errors inside the block into ours; ``what`` was being done.

    Raises:
        LockedError, MissingError, DataError, ServiceError, IngestionError
    """
    try:
        yield
    except psycopg2.Error as error:
        raise translate(error, what) from None


def translate(error: psycopg2.Error, what: str) -> IngestionError:
    """The error of ours that says the same as PostgreSQL's."""
    message = f"{what}: {first_line(error)}"
    if isinstance(error, pg.LockNotAvailable):
        return LockedError(
            message, "another session holds or awaits a lock; run again when it is done"
        )
    if isinstance(error, pg.UndefinedTable | pg.UndefinedColumn | pg.InvalidSchemaName):
        return MissingError(message, "`python -m ingestion source` creates the source")
    if isinstance(error, pg.InsufficientPrivilege):
        user = error.cursor.connection.info.user if error.cursor else "SOURCE_READER_USER"
        return denied(message, user)
    if isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
        context = (error.diag.context or "").splitlines()
        return DataError(f"{message} ({context[0]})" if context else message)
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return ServiceError(message, "`make status` shows what runs; then run again")
    return IngestionError(message)


def denied(message: str, user: str) -> MissingError:
    """What PostgreSQL's error 42501 says, with its remedy for the user that it refused."""
    if "row-level security" in message:
        return MissingError(
            message,
            f"a superuser must let it see every row: ALTER ROLE {quote_identifier(user)} BYPASSRLS",
        )
    return MissingError(message, "GRANT the right to the user named in .env")


def one_row(cursor: extensions.cursor) -> tuple[Any, ...]:
    """The only row of a query that always has one."""
    row = cursor.fetchone()
    if row is None:
        raise RuntimeError("the query gave no row")
    return row


def quote_identifier(name: str) -> str:
    """``name`` as a PostgreSQL (and Trino) identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """``text`` as a PostgreSQL (and Trino) string literal."""
    return "'" + text.replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    """What the error says, without details; its name if it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
