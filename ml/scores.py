"""Where scores land: Parquet parts in bronze, each put once, and a record of each whole run.

A run is named by the model's version and the snapshot of gold that it read. Run again, it puts
the same objects under the same names: bronze takes each once. A part is right by itself; the
record, which comes last, says from which snapshot the next run continues.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.bronze_tables import BronzeTable, Ensured, day_partition, ensure_table
from ingestion.settings import Settings
from ingestion.storage import Bronze, to_json_line
from ingestion.tables import Tables
from ingestion.trino_client import Trino

TABLE, RUNS = "loan_scores", "loan_score_runs"
FOLDER = f"scores/{TABLE}"
REFERENCES = "loan_score_references"
REFERENCE_FOLDER = f"scores/{REFERENCES}"

COLUMNS = {
    "application_id": ("bigint", pa.int64()),
    "model_version": ("bigint", pa.int64()),
    "score": ("double", pa.float64()),
    "decision": ("varchar", pa.string()),
    "reasons": ("varchar", pa.string()),
    "features_as_of": ("timestamp(6)", pa.timestamp("us")),
    "scored_as_of": ("timestamp(6)", pa.timestamp("us")),
    "run_id": ("varchar", pa.string()),
}
PARQUET = "application/vnd.apache.parquet"
SCHEMA = pa.schema([(name, arrow) for name, (_, arrow) in COLUMNS.items()])

# The bins of a version's training set (ml/reference.py), once a version.
REFERENCE_COLUMNS = {
    "model_version": ("bigint", pa.int64()),
    "feature": ("varchar", pa.string()),
    "bin": ("bigint", pa.int64()),
    "lower_bound": ("double", pa.float64()),
    "upper_bound": ("double", pa.float64()),
    "category": ("varchar", pa.string()),
    "share": ("double", pa.float64()),
    "trained_until": ("timestamp(6)", pa.timestamp("us")),
}
REFERENCE_SCHEMA = pa.schema([(name, arrow) for name, (_, arrow) in REFERENCE_COLUMNS.items()])


@dataclass(frozen=True)
class ScorePart:
    object: str
    row_count: int
    sha256: str


@dataclass(frozen=True)
class ScoreRun:
    """One landed run. `based_on` is the snapshot whose scores it adds to, empty if none."""

    model: str
    model_version: int
    snapshot: str
    based_on: str
    scored_as_of: str  # ISO 8601, UTC
    row_count: int = 0
    parts: tuple[ScorePart, ...] = ()

    @classmethod
    def from_json(cls, content: bytes) -> "ScoreRun":
        """A record as ``land`` stored it."""
        stored = json.loads(content)
        parts = tuple(ScorePart(**part) for part in stored.pop("parts"))
        return cls(**stored, parts=parts)

    @property
    def run_id(self) -> str:
        return f"{self.model}-version-{self.model_version:06}-snapshot-{self.snapshot}"

    @property
    def day(self) -> str:
        return datetime.fromisoformat(self.scored_as_of).date().isoformat()

    @property
    def key(self) -> str:
        return f"{RUNS}/{self.model}/dt={self.day}/{self.run_id}.json"


def landed_runs(bronze: Bronze, model: str, version: int) -> list[ScoreRun]:
    """The runs of a model's version that are complete, oldest first."""
    found = [ScoreRun.from_json(bronze.get(key)) for key in bronze.keys(f"{RUNS}/{model}/")]
    of_version = (run for run in found if run.model_version == version)
    return sorted(of_version, key=lambda run: run.scored_as_of)


def land(bronze: Bronze, run: ScoreRun, frames: Iterator[pd.DataFrame]) -> ScoreRun:
    """Land one part for each frame, then the record of the run."""
    parts = []
    for number, frame in enumerate(frames):
        key = f"{FOLDER}/dt={run.day}/{run.run_id}+part-{number:05}.parquet"
        sha256 = bronze.put_once(key, parquet(frame, SCHEMA), PARQUET)
        parts.append(ScorePart(bronze.uri(key), len(frame), sha256))
    landed = replace(run, row_count=sum(part.row_count for part in parts), parts=tuple(parts))
    bronze.put_once(landed.key, to_json_line(asdict(landed)), "application/json")
    return landed


def land_reference(
    bronze: Bronze, model: str, version: int, created: datetime, bins: pd.DataFrame
) -> None:
    """Land the bins of a version's training set, under the day on which it was registered."""
    key = f"{REFERENCE_FOLDER}/dt={created.date()}/{model}-version-{version:06}.parquet"
    bronze.put_once(key, parquet(bins.assign(model_version=version), REFERENCE_SCHEMA), PARQUET)


def parquet(frame: pd.DataFrame, schema: pa.Schema) -> memoryview:
    """The same rows give the same bytes."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd")
    return memoryview(sink.getvalue())


def show_to_trino(settings: Settings, tables: Tables) -> list[Ensured]:
    """Make the tables by which Trino reads what has landed; harmless when they are there."""
    day = day_partition(tables.first_day)
    wanted = [
        (TABLE, FOLDER, {name: kind for name, (kind, _) in COLUMNS.items()}),
        (
            REFERENCES,
            REFERENCE_FOLDER,
            {name: kind for name, (kind, _) in REFERENCE_COLUMNS.items()},
        ),
    ]
    bronze, trino = Bronze(settings), Trino(settings)
    return [
        ensure_table(
            bronze,
            trino,
            BronzeTable(f"{tables.bronze_schema}.{name}", folder, "PARQUET", columns, (day,)),
        )
        for name, folder, columns in wanted
    ]
