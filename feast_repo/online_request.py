"""Validates a request for online features before the store is read.

Feast answers 500, or features without an entity, to keys of a wrong type, to null and to
lists of different lengths.
"""

import math
from collections.abc import Iterator

from fastapi import HTTPException
from feast import FeatureStore, FeatureView, ValueType
from feast.base_feature_view import BaseFeatureView
from feast.on_demand_feature_view import OnDemandFeatureView
from pydantic import BaseModel, ConfigDict, Field

# The time of a read grows with its keys, and other requests wait for it.
MAX_KEYS = 1_000
INT64 = range(-(2**63), 2**63)

Value = int | float | str | bool | None


class OnlineRequest(BaseModel):
    """A feature service, or features by name, of which applications."""

    model_config = ConfigDict(extra="forbid")

    entities: dict[str, list[Value]] = Field(
        description="By name: the keys, and the fields that come with the request; equal lengths",
        examples=[{"application_id": [42], "requested_amount": [5000.0]}],
    )
    feature_service: str | None = Field(None, examples=["loan_approval"])
    features: list[str] = Field([], description="`view:feature`, without a feature service")
    full_feature_names: bool = False


def check(request: OnlineRequest, store: FeatureStore) -> None:
    """Raise HTTPException (422) with the reason if the request cannot be answered.

    Raises:
        FeastObjectNotFoundException: there is no such feature service or view.
    """
    if (request.feature_service is None) == (not request.features):
        raise refusal("name a feature_service, or features as view:feature, and not both")
    needed = dict(needed_fields(request, store))
    if missing := sorted(needed.keys() - request.entities.keys()):
        raise refusal(f"entities lack {', '.join(missing)}")
    if unknown := sorted(request.entities.keys() - needed.keys()):
        raise refusal(f"entities hold {unknown[0]!r}, which is none of {', '.join(needed)}")
    lengths = {name: len(values) for name, values in request.entities.items()}
    if len(set(lengths.values())) > 1:
        raise refusal(f"the lists differ in length: {lengths}")
    if not 1 <= (keys := min(lengths.values())) <= MAX_KEYS:
        raise refusal(f"{keys:,} keys: 1 to {MAX_KEYS:,} fit one request")
    for name, kind in needed.items():
        for value in request.entities[name]:
            if not is_of(kind, value):
                raise refusal(f"{name}: {str(value)[:40]!r} is no {kind.name.lower()}")


def needed_fields(request: OnlineRequest, store: FeatureStore) -> Iterator[tuple[str, ValueType]]:
    """The keys and request fields of the requested views, with their types."""
    for name in view_names(request, store):
        view = store.registry.get_any_feature_view(name, store.project, allow_cache=True)
        yield from fields_of(view, store)


def view_names(request: OnlineRequest, store: FeatureStore) -> list[str]:
    if request.feature_service is None:
        if wrong := [name for name in request.features if name.count(":") != 1]:
            raise refusal(f"{wrong[0][:80]!r} is not like view:feature")
        return list(dict.fromkeys(name.split(":")[0] for name in request.features))
    service = store.get_feature_service(request.feature_service, allow_cache=True)
    return [projection.name for projection in service.feature_view_projections]


def fields_of(view: BaseFeatureView, store: FeatureStore) -> Iterator[tuple[str, ValueType]]:
    if isinstance(view, OnDemandFeatureView):
        for source in view.source_request_sources.values():
            for field in source.schema:
                yield field.name, field.dtype.to_value_type()
        for projection in view.source_feature_view_projections.values():
            source_view = store.registry.get_any_feature_view(
                projection.name, store.project, allow_cache=True
            )
            yield from fields_of(source_view, store)
    elif isinstance(view, FeatureView):
        for field in view.entity_columns:
            yield field.name, field.dtype.to_value_type()


def is_of(kind: ValueType, value: Value) -> bool:
    """Whether a value of JSON is one of Feast's type."""
    if isinstance(value, bool):
        return kind is ValueType.BOOL
    if kind in (ValueType.INT64, ValueType.INT32):
        return isinstance(value, int) and value in INT64
    if kind in (ValueType.DOUBLE, ValueType.FLOAT):
        return isinstance(value, int | float) and is_finite(value)
    return isinstance(value, str) and kind is ValueType.STRING


def is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a double holds
        return False


def refusal(sentence: str) -> HTTPException:
    return HTTPException(422, sentence)
