"""Queries to Trino, and its errors in plain words."""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trino
from trino.exceptions import Error, HttpError, TrinoQueryError, TrinoUserError

from ingestion.errors import IngestionError, MissingError, ServiceError
from ingestion.postgres import first_line
from ingestion.settings import Settings

_MISSING = {
    "TABLE_NOT_FOUND",
    "SCHEMA_NOT_FOUND",
    "COLUMN_NOT_FOUND",
    "CATALOG_NOT_FOUND",
}


class Trino:
    """One connection to Trino."""

    def __init__(self, settings: Settings) -> None:
        self._where = f"{settings.trino_host}:{settings.trino_port}"
        self._connection = trino.dbapi.connect(
            host=settings.trino_host,
            port=settings.trino_port,
            user=settings.trino_user,
            source="ingestion",
            timezone="UTC",
            request_timeout=60,
            max_attempts=3,
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            MissingError: it names a table, column or schema that does not exist.
            ServiceError: Trino cannot be reached, or failed.
        """
        with self._plain_errors():
            cursor = self._connection.cursor()
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def columns(self, table: str) -> dict[str, str]:
        """Names and types of the columns of ``catalog.schema.table``; empty if none is there."""
        catalog, schema, name = table.split(".")
        rows = self.query(
            f"SELECT column_name, data_type FROM {catalog}.information_schema.columns"
            f" WHERE table_schema = '{schema}' AND table_name = '{name}'"
            " ORDER BY ordinal_position"
        )
        return dict(rows)

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except TrinoQueryError as error:
            message = f"Trino: {first_line(Exception(error.message or error.error_name))}"
            if isinstance(error, TrinoUserError):
                if error.error_name in _MISSING:
                    raise MissingError(
                        message, "`make up` makes the schemas, dbt the tables"
                    ) from None
                raise IngestionError(message) from None
            raise ServiceError(message, "`make status`; Trino's log says more") from None
        except (Error, HttpError, OSError) as error:  # an HttpError is no Error
            raise ServiceError(
                f"cannot reach Trino at {self._where}: {first_line(error)}",
                "`make status` shows what runs, `make up` starts it",
            ) from None
