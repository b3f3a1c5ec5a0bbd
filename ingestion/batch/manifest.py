"""A snapshot's manifest: what landed, and by being there, that it landed whole.

It is one JSON object on one line, for Trino reads the manifests as a table.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingestion.errors import DataError
from ingestion.storage import Bronze, to_json_line
from ingestion.tables import MANIFEST_TABLE

FOLDER = MANIFEST_TABLE

Mode = Literal["full", "incremental"]


class _ManifestModel(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class LandedPart(_ManifestModel):
    """One Parquet object of the snapshot."""

    object: str
    row_count: int
    byte_count: int
    sha256: str


class LandedColumn(_ManifestModel):
    """A column: its type in PostgreSQL and in the Trino table."""

    name: str
    source_type: str
    type: str


class Manifest(_ManifestModel):
    """Everything about one landed snapshot of one table.

    Times are ISO 8601 in UTC; ``lsn`` and the transaction ids are numbers;
    the cursor's bounds are texts as PostgreSQL writes them.
    """

    snapshot_id: str
    table_name: str
    mode: Mode
    lsn: int
    xmin: int
    xmax: int
    xip: tuple[int, ...]
    taken_at: str
    landed_at: str
    cursor_column: str | None
    cursor_from: str | None
    cursor_to: str | None
    row_count: int
    byte_count: int
    parts: tuple[LandedPart, ...]
    # The file numbers of the table and its partitions, which TRUNCATE and rewrites
    # change; empty in manifests from before they were noted.
    storage: tuple[int, ...] = ()
    # `schema` would hide a method of pydantic's.
    columns: tuple[LandedColumn, ...] = Field(alias="schema")

    @property
    def key(self) -> str:
        """Where the manifest lives in the bucket."""
        day = datetime.fromisoformat(self.taken_at).date().isoformat()
        return f"{FOLDER}/dt={day}/{self.table_name}+{self.snapshot_id}.json"

    def to_json(self) -> bytes:
        """The manifest as it is stored."""
        return to_json_line(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_json(cls, content: bytes, where: str = "a manifest") -> "Manifest":
        """Read a stored manifest.

        Raises:
            DataError: it is not one.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"{where} is broken: {first['loc']}: {first['msg']}") from None


def land_manifest(bronze: Bronze, manifest: Manifest) -> None:
    """Store the manifest, which makes the snapshot visible."""
    bronze.put_once(manifest.key, manifest.to_json(), "application/json")


def manifest_keys(bronze: Bronze, table: str | None = None) -> Iterator[str]:
    """The keys of the landed manifests (of one table), oldest day first."""
    for key in bronze.keys(f"{FOLDER}/"):
        name = key.rsplit("/", 1)[1]
        if key.endswith(".json") and (table is None or name.startswith(f"{table}+")):
            yield key


def read_manifest(bronze: Bronze, key: str) -> Manifest:
    """Read one manifest by its key."""
    return Manifest.from_json(bronze.get(key), bronze.uri(key))


def newest_manifest(bronze: Bronze, table: str) -> Manifest | None:
    """The manifest of the table's newest snapshot, or None before the first.

    Newest by time is newest by log position too: no snapshot lands that does not
    follow the one before it in both.
    """
    newest = max(manifest_keys(bronze, table), key=lambda k: k.rsplit("+", 1)[1], default=None)
    return None if newest is None else read_manifest(bronze, newest)
