"""The training set: features as of each decision, with all that is needed to make it again."""

import hashlib
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import MlError
from ml.features import check_there
from ml.lake import Lake
from ml.leaks import check_leaks
from ml.service_errors import service_errors_as_ml_errors
from ml.settings import REPO, TrainingSettings

TIMES = ("decided_at", "event_timestamp")
KEY = "application_id"
# Applications whose features are compared offline and online.
SKEW_ROWS = 200


@dataclass(frozen=True)
class TrainingSet:
    """A row for each decided application, and where the rows come from."""

    frame: pd.DataFrame
    provenance: dict[str, Any]


def read(lake: Lake, settings: TrainingSettings) -> TrainingSet:
    """From Feast, by the feature service, with the columns of the rules and the audit.

    Raises MlError if the lake changes during the read, or its data cannot be trained on.
    """
    before = lake.snapshots()
    entities = lake.decisions(settings.label)
    if entities.empty:
        raise MlError("no application is decided", "land a batch, then `dbt build`")
    frame = with_features(entities, settings, only_known=True)
    if lake.snapshots() != before:
        raise MlError("dbt wrote new snapshots while the training set was read", "run it again")
    definition = feature_names(settings)
    return TrainingSet(
        frame,
        {
            "iceberg_snapshots": before,
            "feature_service": settings.feature_service,
            "feature_service_features": definition,
            "commit": commit(),
            "seed": settings.seed,
            "rows": len(frame),
        },
    )


def with_features(
    entities: pd.DataFrame, settings: TrainingSettings, *, only_known: bool
) -> pd.DataFrame:
    """The entities and their features, as of each one's `event_timestamp`."""
    # Not above: to import Feast takes seconds, which `--help` would pay for.
    from feast_repo.store import open_store  # noqa: PLC0415

    with service_errors_as_ml_errors():
        store = open_store()
        return pd.DataFrame(
            store.get_historical_features(
                entity_df=entities,
                features=references(store, settings),
                filter_by_created_timestamp=only_known,
            ).to_df()
        )


def references(store: Any, settings: TrainingSettings) -> list[str]:  # noqa: ANN401 (Feast has no types)
    """The service's features, and the further columns of the rules and the audit."""
    from feast.errors import FeastObjectNotFoundException  # noqa: PLC0415

    try:
        service = store.get_feature_service(settings.feature_service)
    except FeastObjectNotFoundException:
        raise MlError(
            f"Feast has no feature service {settings.feature_service}",
            "`feast apply`, in feast_repo; or name another in the settings file",
        ) from None
    found = [
        f"{view.name}:{feature.name}"
        for view in service.feature_view_projections
        for feature in view.features
    ]
    further = [rule.column for rule in settings.policy_rules]
    further += [audited.column for audited in settings.audited.values()]
    return list(dict.fromkeys([*found, *further]))


def feature_names(settings: TrainingSettings) -> list[str]:
    from feast_repo.store import open_store  # noqa: PLC0415

    with service_errors_as_ml_errors():
        return references(open_store(), settings)


def commit() -> str:
    """The commit of the code, with a mark if files differ from it; unknown outside of git."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(describe, cwd=REPO, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def save(frame: pd.DataFrame, file: Path) -> str:
    """Write the rows as Parquet and return the file's SHA-256: the same rows, the same hash."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, file, compression="zstd")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load(file: Path) -> pd.DataFrame:
    """The rows of a training set that was saved. Raises MlError if it is none."""
    try:
        return pq.read_table(file).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise MlError(
            f"cannot read {file}: {error}", "it is an artifact of a run in MLflow"
        ) from None


def check(frame: pd.DataFrame, settings: TrainingSettings) -> None:
    """Raise MlError, in a sentence, if a model cannot be trained on these rows."""
    check_there(frame, settings.features)
    checks, labels = settings.checks, frame[settings.label]
    if len(frame) < checks.minimum_rows:
        raise MlError(
            f"{len(frame):,} decided applications are too few: {checks.minimum_rows:,} are needed",
            "wait for more, or lower `minimum_rows` in the settings file",
        )
    counts = labels.value_counts()
    for label, meaning in ((0, "rejected"), (1, "approved")):
        if (rows := int(counts.get(label, 0))) < checks.minimum_rows_of_each_label:
            raise MlError(
                f"{rows:,} applications were {meaning}: a model needs"
                f" {checks.minimum_rows_of_each_label:,} of each label",
                "look at loan_status in silver.loan_applications",
            )
    check_months(frame["decided_at"], checks.minimum_months)


def check_months(times: pd.Series, least: int) -> None:
    months = months_of(times)
    every = pd.period_range(months.min(), months.max(), freq="M")
    if len(every) < least:
        raise MlError(
            f"the decisions span {len(every)} months: {least} are needed", "wait for more"
        )


def months_of(times: pd.Series) -> pd.Series:
    return times.dt.tz_localize(None).dt.to_period("M")


def check_gaps(times: pd.Series, settings: TrainingSettings) -> str:
    """A sentence with the months in which nothing was decided; empty if there are none.

    Neither the split by time nor the folds need every month, and a month's own figures exist
    only where there are rows. Raises MlError if the settings refuse such months.
    """
    gaps = empty_months(times)
    if not gaps:
        return ""
    sentence = f"no application was decided in {', '.join(gaps)}"
    if settings.checks.empty_months == "refuse":
        raise MlError(
            sentence,
            "land them (`make backfill`), or set `empty_months: warn` in the settings file",
        )
    return sentence


def empty_months(times: pd.Series) -> list[str]:
    """The gaps between the first month and the last: a month, or `first to last (so many)`."""
    months = sorted(set(months_of(times)))
    found = []
    for before, after in pairwise(months):
        first, last = before + 1, after - 1
        if first == last:
            found.append(str(first))
        elif first < last:
            found.append(f"{first} to {last} ({last.ordinal - first.ordinal + 1} months)")
    return found


def check_features(frame: pd.DataFrame, settings: TrainingSettings) -> None:
    """Raise MlError for a feature that gives the label away, among whom the model judges."""
    labels = frame[settings.label].to_numpy(dtype=np.int64)
    check_leaks(frame, settings.features.names, labels, settings.checks.leak_auc)


def skew(frame: pd.DataFrame, settings: TrainingSettings) -> str:
    """What a sample of applications looks like offline and online, as a sentence.

    Both are asked for now: a model is trained on the one and asked about the other.
    """
    from feast_repo.store import open_store  # noqa: PLC0415

    sample = frame.sample(min(SKEW_ROWS, len(frame)), random_state=settings.seed)
    entities = sample[[KEY, "requested_amount"]].reset_index(drop=True)
    now = pd.Timestamp.now("UTC")
    offline = with_features(entities.assign(event_timestamp=now), settings, only_known=False)
    asked = [name for name in feature_names(settings) if name.split(":")[1] in offline]
    with service_errors_as_ml_errors():
        answer = open_store().get_online_features(asked, entities.to_dict("records"))
    online = pd.DataFrame(answer.to_dict())
    names = settings.features.names
    if online[names].isna().to_numpy().all():
        return "the online store is empty: `make materialize`"
    equal = (offline[names].astype(str) == online[names].astype(str)).all(axis=1)
    return f"{int(equal.sum())} of {len(entities)} sampled applications are the same online"
