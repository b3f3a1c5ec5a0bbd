"""What the steps of landing one table share."""

from dataclasses import dataclass

from ingestion.batch.snapshot import Snapshot
from ingestion.column_types import Column
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.tables import Table


@dataclass(frozen=True)
class Job:
    """Landing one table's rows as one snapshot sees them."""

    settings: Settings
    bronze: Bronze
    snapshot: Snapshot
    table: Table
    columns: tuple[Column, ...]
