"""An application's features as the online store has them now."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from feast import FeatureStore
from feast.on_demand_feature_view import OnDemandFeatureView

from ml.settings import TrainingSettings

KEY = "application_id"
# Without another one in the request, what was applied for: as in batch scoring.
AMOUNT, REQUESTED = "loan_amount", "requested_amount"


@dataclass(frozen=True)
class OnlineFeatures:
    """By name; a feature that the store does not have is None."""

    values: dict[str, Any]
    as_of: datetime


class OnlineReader:
    """Reads what the settings of a model need, one application at a time, in one request."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self._plan = lru_cache(maxsize=4)(self._make_plan)

    def read(
        self, application_id: int, requested: float | None, settings: TrainingSettings
    ) -> OnlineFeatures | None:
        """None if the store has nothing of the application.

        Raises psycopg.OperationalError or PoolTimeout if it does not answer.
        """
        references, computed = self._plan(settings.feature_service, tuple(needed(settings)))
        answer = self.store.get_online_features(list(references), [{KEY: application_id}])
        values = {name: column[0] for name, column in answer.to_dict().items()}
        if all(value is None for name, value in values.items() if name != KEY):
            return None
        values[REQUESTED] = values[AMOUNT] if requested is None else requested
        for view in computed:
            inputs = {name: [value] for name, value in values.items()}
            values |= {name: column[0] for name, column in view.transform_dict(inputs).items()}
        times = [result.event_timestamps[0] for result in answer.proto.results]
        newest = max(time.seconds + time.nanos / 1e9 for time in times)
        return OnlineFeatures(values, datetime.fromtimestamp(newest, UTC))

    def _make_plan(
        self, service: str, names: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[OnDemandFeatureView, ...]]:
        """The features to read, and the views that are computed from them here.

        Feast would compute the latter itself, and ask for the amount before it is read.
        """
        references: dict[str, None] = {}
        computed: list[OnDemandFeatureView] = []
        for projection in self.store.get_feature_service(service).feature_view_projections:
            view = self.store.registry.get_any_feature_view(
                projection.name, self.store.project, allow_cache=True
            )
            if isinstance(view, OnDemandFeatureView):
                computed.append(view)
                for source in view.source_feature_view_projections.values():
                    references |= {f"{source.name}:{one.name}": None for one in source.features}
                continue
            wanted = (one.name for one in projection.features)
            references |= {f"{view.name}:{name}": None for name in wanted if name in names}
        rules = (name for name in names if ":" in name)
        return tuple(references | dict.fromkeys(rules)), tuple(computed)


def needed(settings: TrainingSettings) -> list[str]:
    """The model's features by name, and the rules' columns as `view:feature`."""
    rules = [rule.column for rule in settings.policy_rules]
    return [*settings.features.names, AMOUNT, *rules]
