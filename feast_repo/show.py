"""Shows one application's features, or a segment's: as of a point in time, and as served online."""

import argparse
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from feast import FeatureStore
from rich.console import Console
from rich.table import Table

from feast_repo.activity import VIEW
from feast_repo.store import open_store

SERVICE = "loan_approval_with_leak"
ABSENT = "—"


@dataclass(frozen=True)
class Shown:
    """An entity by its key, and the features that are shown of it, as view:feature."""

    title: str
    key: str
    value: int | str
    features: list[str]
    # Why there may be none.
    none: str


def application(store: FeatureStore, application_id: int) -> Shown:
    service = store.get_feature_service(SERVICE)
    return Shown(
        f"Application {application_id}",
        "application_id",
        application_id,
        [
            f"{view.name}:{feature.name}"
            for view in service.feature_view_projections
            for feature in view.features
        ],
        "no such application, none yet at that time, or a rejected one "
        "(iceberg.silver.rejected_loan_applications)",
    )


def segment(store: FeatureStore, name: str) -> Shown:
    features = [f"{VIEW}:{feature.name}" for feature in store.get_feature_view(VIEW).features]
    return Shown(name, "segment", name, features, "no such segment, or no application of it yet")


def read_offline(store: FeatureStore, shown: Shown, as_of: datetime) -> dict[str, Any]:
    """What was true at that time, says the lake."""
    entity = pd.DataFrame({shown.key: [shown.value], "event_timestamp": [as_of]})
    job = store.get_historical_features(entity_df=entity, features=shown.features)
    row: dict[str, Any] = job.to_df().astype(object).iloc[0].to_dict()
    return row


def read_online(store: FeatureStore, shown: Shown) -> dict[str, Any]:
    """What a model is served now."""
    response = store.get_online_features(
        features=shown.features, entity_rows=[{shown.key: shown.value}]
    )
    return {name: values[0] for name, values in response.to_dict().items()}


def as_text(value: object) -> str:
    absent = value is None or (isinstance(value, float) and math.isnan(value))
    return ABSENT if absent else str(value)


def utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def main(command_line: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m feast_repo.show", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--application-id", type=int)
    which.add_argument("--segment", metavar="KIND=NAME", help="as in loan_purpose=EDUCATION")
    parser.add_argument(
        "--as-of",
        type=utc,
        default=datetime.now(UTC),
        metavar="TIME",
        help="UTC time of the offline read, as in 2024-06-30T12:00:00 (default: now)",
    )
    arguments = parser.parse_args(command_line)
    console = Console()

    store = open_store()
    shown = (
        segment(store, arguments.segment)
        if arguments.segment
        else application(store, arguments.application_id)
    )
    offline = read_offline(store, shown, arguments.as_of)
    online = read_online(store, shown)

    names = [feature.partition(":")[2] for feature in shown.features]
    if all(as_text(row[name]) == ABSENT for row in (offline, online) for name in names):
        console.print(f"No features: {shown.none}.")
        return 1

    table = Table(title=shown.title)
    table.add_column("feature")
    table.add_column(f"offline, as of\n{arguments.as_of:%Y-%m-%d %H:%M:%S} UTC")
    table.add_column("online,\nnow")
    for name in names:
        table.add_row(name, as_text(offline[name]), as_text(online[name]))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
