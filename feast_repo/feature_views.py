"""The features, a view for each gold table; their names, types and descriptions are gold's."""

from datetime import timedelta
from typing import Any

from contracts import description, features
from data_sources import (
    OWNER,
    applicant_features,
    credit_history_features,
    loan_features,
    loan_segment_activity,
    request,
)
from entities import application, segment
from feast import FeatureView, Field
from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

# Features do not expire: they are valid until they change. Ten years cover the
# oldest; 0 would mean no limit, but also make Feast's materialize-incremental
# start with the last year only.
NEVER_EXPIRES = timedelta(days=3650)


def gold_view(name: str, source: TrinoSource) -> FeatureView:
    return FeatureView(
        name=name,
        entities=[application],
        ttl=NEVER_EXPIRES,
        source=source,
        schema=features(source.name),
        description=description(source.name),
        tags={"layer": "gold", "table": source.name},
        owner=OWNER,
    )


applicant = gold_view("applicant", applicant_features)
loan = gold_view("loan", loan_features)
credit_history = gold_view("credit_history", credit_history_features)

# Not "online" to Feast, which would write its rows: they are summed when they are read
# (feast_repo/activity.py).
segment_activity = FeatureView(
    name="loan_segment_activity",
    entities=[segment],
    ttl=NEVER_EXPIRES,
    source=loan_segment_activity,
    schema=features(loan_segment_activity.name),
    online=False,
    description=description(loan_segment_activity.name),
    tags={"layer": "gold", "table": loan_segment_activity.name},
    owner=OWNER,
)


@on_demand_feature_view(  # type: ignore[untyped-decorator]
    name="request_ratios",
    sources=[applicant[["annual_income"]], loan[["loan_amount"]], request],
    # Feast treats a field with a description as different from the one that it infers.
    schema=[
        Field(name="requested_to_income_percent", dtype=Float64),
        Field(name="requested_to_applied_percent", dtype=Float64),
    ],
    mode="python",
    description=(
        "What the request asks for as a share of the yearly income, and of what was applied "
        "for; computed when it comes."
    ),
    tags={"layer": "request"},
    owner=OWNER,
)
def request_ratios(inputs: dict[str, Any]) -> dict[str, Any]:
    # Feast stores this function's own text, so that it uses nothing from outside.
    def percent(parts: list[float | None], wholes: list[float | None]) -> list[float | None]:
        pairs = zip(parts, wholes, strict=True)
        return [100 * part / whole if part is not None and whole else None for part, whole in pairs]

    requested = inputs["requested_amount"]
    return {
        "requested_to_income_percent": percent(requested, inputs["annual_income"]),
        "requested_to_applied_percent": percent(requested, inputs["loan_amount"]),
    }
