"""Where features come from: the feature tables that dbt builds in gold."""

import os

from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource

# Tests build a gold of their own.
GOLD_SCHEMA = os.environ.get("GOLD_SCHEMA", "gold")


def gold_table(name: str, description: str) -> TrinoSource:
    return TrinoSource(
        name=name,
        table=f"iceberg.{GOLD_SCHEMA}.{name}",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
        description=description,
    )


applicant_features = gold_table("applicant_features", "Who applies.")
loan_features = gold_table("loan_features", "What is applied for.")
credit_history_features = gold_table(
    "credit_history_features", "What the bureau and the file say of the applicant."
)
