"""Which tables are ingested: the tables file, checked."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from ingestion.errors import SettingsError
from ingestion.options import DEFAULT_FILE

# The manifests' own folder and table in Trino.
MANIFEST_TABLE = "batch_snapshots"
# The suffix of each table's table of changes in Trino.
CHANGES_SUFFIX = "_changes"


def _not_reserved(name: str) -> str:
    if name == MANIFEST_TABLE:
        raise ValueError(f"{name!r} is the name of the manifests' own table")
    return name


# Part of object keys, of Trino's table names and of the manifests' names, where
# a plus sign separates it from the snapshot.
TableName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"), AfterValidator(_not_reserved)
]
TrinoTable = Annotated[str, StringConstraints(pattern=r"^\w+\.\w+\.\w+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cursor(_Strict):
    """The column that incremental batches follow, and how far back they reread.

    ``overlap`` is an interval such as ``10 minutes`` for a column of dates or
    times, and a number for a column of integers.
    """

    column: str
    overlap: str | int = "1 hour"


class Reconcile(_Strict):
    """The Trino tables that must together hold what the source holds.

    ``progress`` says how far silver has come in the stream: for each partition
    (``input_kind`` is ``partition``, ``input_id`` is topic id + partition) the
    ``next_offset`` and the ``last_object`` that it was read from.

    ``unreadable`` lists the rows whose newest values silver cannot hold, by ``table_name``
    and ``row_key``: they are listed and not compared. With ``stale_keys: error`` one of
    them makes `reconcile` exit with 1.
    """

    silver: TrinoTable
    rejected: TrinoTable | None = None
    progress: TrinoTable | None = None
    unreadable: TrinoTable | None = None
    stale_keys: Literal["warn", "error"] = "warn"


class Table(_Strict):
    """One table of the source and its place in the lake."""

    name: TableName
    source: str
    key: Annotated[tuple[str, ...], Field(min_length=1)]
    cursor: Cursor | None = None
    reconcile: Reconcile | None = None


class Tables(_Strict):
    """The whole tables file."""

    bronze_schema: Annotated[str, StringConstraints(pattern=r"^\w+\.\w+$")]
    first_day: date
    tables: Annotated[tuple[Table, ...], Field(min_length=1)]

    def select(self, names: list[str]) -> tuple[Table, ...]:
        """The named tables, or all when none is named.

        Raises:
            SettingsError: a name is not in the file.
        """
        known = {table.name: table for table in self.tables}
        if unknown := [name for name in names if name not in known]:
            raise SettingsError(
                f"unknown table {unknown[0]!r}",
                f"the tables file has: {', '.join(sorted(known))}",
            )
        return tuple(known[name] for name in dict.fromkeys(names)) or self.tables


def load_tables(path: Path = DEFAULT_FILE) -> Tables:
    """Read and check a tables file.

    Raises:
        SettingsError: it cannot be read, or an entry is wrong.
    """
    try:
        tables = Tables.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}".replace("\n", " ")) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{path}: {where}: {first['msg']}", "the file's head explains the entries"
        ) from None
    names = [table.name for table in tables.tables]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{path}: two tables are named {min(twice)!r}")
    if taken := {name for name in names if f"{name}{CHANGES_SUFFIX}" in names}:
        raise SettingsError(
            f"{path}: {min(taken) + CHANGES_SUFFIX!r} is the name of the table that holds"
            f" the changes of {min(taken)!r}",
            "name one of them otherwise; its `source` stays as it is",
        )
    return tables
