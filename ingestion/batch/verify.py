"""Whether a landed snapshot is all there, and Trino shows it."""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from ingestion.batch.manifest import Manifest, newest_manifest
from ingestion.catalog import PARTITION_COLUMN, SNAPSHOT_COLUMN
from ingestion.errors import DataError, MissingError
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.tables import Table, Tables
from ingestion.trino_client import Trino


def verify_newest(settings: Settings, tables: Tables, table: Table) -> Manifest:
    """Count the newest snapshot's rows in Trino and return its manifest.

    Raises:
        MissingError: nothing has landed yet, or Trino has no table for it.
        DataError: Trino shows more or fewer rows than the manifest promises.
    """
    manifest = newest_manifest(Bronze(settings), table.name)
    if manifest is None:
        raise MissingError(
            f"{table.name}: no snapshot has landed",
            "`python -m ingestion batch` lands one",
        )
    [[rows]] = Trino(settings).query(
        f"SELECT count(*) FROM {tables.bronze_schema}.{table.name}"
        f" WHERE {PARTITION_COLUMN} = DATE '{manifest.taken_at[:10]}'"
        f" AND {SNAPSHOT_COLUMN} = '{manifest.snapshot_id}'"
    )
    if rows != manifest.row_count:
        raise DataError(
            f"{table.name}: snapshot {manifest.snapshot_id} has {manifest.row_count:,} rows by its"
            f" manifest, and Trino shows {rows:,}",
            "one of its objects was deleted or changed: land a full batch",
        )
    return manifest
