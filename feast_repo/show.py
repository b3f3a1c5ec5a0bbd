"""Shows one application's features: as of a point in time, and as served online."""

import argparse
import math
import sys
from datetime import UTC, datetime
from typing import Any

from feast import FeatureStore
from rich.console import Console
from rich.table import Table

from feast_repo.store import open_store

SERVICE = "loan_approval_with_leak"
ABSENT = "—"


def read_offline(store: FeatureStore, application_id: int, as_of: datetime) -> dict[str, Any]:
    """What was true of the application at that time, says the lake."""
    entity = (
        f"select bigint '{application_id}' as application_id, "
        f"from_iso8601_timestamp_nanos('{as_of.isoformat()}') as event_timestamp"
    )
    job = store.get_historical_features(
        entity_df=entity, features=store.get_feature_service(SERVICE)
    )
    row: dict[str, Any] = job.to_df().astype(object).iloc[0].to_dict()
    return row


def read_online(store: FeatureStore, application_id: int) -> dict[str, Any]:
    """What a model is served now."""
    response = store.get_online_features(
        features=store.get_feature_service(SERVICE),
        entity_rows=[{"application_id": application_id}],
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
    parser.add_argument("--application-id", type=int, required=True)
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
    offline = read_offline(store, arguments.application_id, arguments.as_of)
    online = read_online(store, arguments.application_id)

    features = [
        feature.name
        for view in store.get_feature_service(SERVICE).feature_view_projections
        for feature in view.features
    ]
    if all(as_text(row[name]) == ABSENT for row in (offline, online) for name in features):
        console.print(
            "No features: no such application, none yet at that time, or a rejected one "
            "(iceberg.silver.rejected_loan_applications)."
        )
        return 1

    table = Table(title=f"Application {arguments.application_id}")
    table.add_column("feature")
    table.add_column(f"offline, as of\n{arguments.as_of:%Y-%m-%d %H:%M:%S} UTC")
    table.add_column("online,\nnow")
    for name in features:
        table.add_row(name, as_text(offline[name]), as_text(online[name]))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
