"""Where features come from: the feature tables that dbt builds in gold."""

import os

from contracts import description
from feast import Field, RequestSource
from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource
from feast.types import Float64

OWNER = "Loan lakehouse"
# Tests build a gold of their own.
GOLD = f"iceberg.{os.environ.get('GOLD_SCHEMA', 'gold')}"


def gold_table(name: str) -> TrinoSource:
    """A feature table: Feast joins its history, and what is served online is its current rows."""
    return TrinoSource(
        name=name,
        table=f"{GOLD}.historical_features",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
        description=description(name),
        tags={"current": f"{GOLD}.{name}"},
        owner=OWNER,
    )


applicant_features = gold_table("applicant_features")
loan_features = gold_table("loan_features")
credit_history_features = gold_table("credit_history_features")

loan_segment_activity = TrinoSource(
    name="loan_segment_activity",
    table=f"{GOLD}.loan_segment_activity",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
    description=description("loan_segment_activity"),
    owner=OWNER,
)

request = RequestSource(
    name="request",
    schema=[
        Field(
            name="requested_amount",
            dtype=Float64,
            description="The amount of the request; in training, the amount applied for.",
        )
    ],
    description="What only the caller knows: it comes with the request.",
    owner=OWNER,
)
