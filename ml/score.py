"""Batch scoring: the champion on every application whose features are new to it.

Memory holds some ten thousand applications at a time, however many there are.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import pandas as pd
from mlflow.entities.model_registry import ModelVersion

from ingestion.errors import IngestionError
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from ingestion.tables import load_tables
from ml import scores, training_set
from ml.artifacts import ONNX, REFERENCE
from ml.decision import decide
from ml.errors import MlError
from ml.lake import Lake
from ml.onnx_model import OnnxModel
from ml.registry import Registry
from ml.scores import ScoreRun
from ml.settings import TrainingSettings

ROWS_IN_A_PART = 50_000

# What is current in a snapshot and was not so, or otherwise, in the one that was scored before.
CURRENT = """
select application_id, event_timestamp as features_as_of, loan_amount as requested_amount
from {gold}.historical_features for version as of {snapshot}
where is_current
"""
CHANGED = """
select new.*
from ({current}) as new
left join ({before}) as old
    on new.application_id = old.application_id and new.features_as_of = old.features_as_of
where old.application_id is null
"""


@dataclass(frozen=True)
class Done:
    run: ScoreRun
    landed: bool


def score(
    env: dict[str, str],
    settings: TrainingSettings,
    registry: Registry,
    tick: Callable[[int], None] = lambda _: None,
) -> Done:
    """Land the scores of what has changed since the champion scored last; show them to Trino.

    Raises MlError if there is no champion, or a service fails. Nothing half done is visible.
    """
    champion = registry.champion()
    lake, version = Lake(env), int(champion.version)
    try:
        ingestion, tables = get_settings(), load_tables()
        bronze = Bronze(ingestion)
        landed = scores.landed_runs(bronze, settings.model, version)
        run = plan(lake, landed, settings.model, version)
        if run in landed:
            return Done(run, landed=False)
        land_reference(bronze, registry, champion)
        model = OnnxModel(registry.artifact(champion, ONNX), settings.features)
        run = scores.land(bronze, run, scored(lake, run, settings, model, tick))
        scores.show_to_trino(ingestion, tables)
        return Done(run, landed=True)
    except IngestionError as error:
        raise MlError(error.message, error.hint) from None


def land_reference(bronze: Bronze, registry: Registry, version: ModelVersion) -> None:
    """Land the bins of the version's training set, which monitoring compares with.

    A version that was trained before there was monitoring has none.
    """
    if not registry.has_artifact(version, REFERENCE):
        return
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    bins = pd.read_parquet(io.BytesIO(registry.artifact(version, REFERENCE)))
    scores.land_reference(bronze, str(version.name), int(version.version), created, bins)


def plan(lake: Lake, landed: list[ScoreRun], model: str, version: int) -> ScoreRun:
    """The run that is due: gold's current rows, without those the version has scored."""
    snapshot, committed_at = lake.gold_snapshot()
    for run in landed:
        if run.snapshot == snapshot:
            return run
    before = landed[-1].snapshot if landed else ""
    # Upkeep drops old snapshots: then all is scored again, and silver keeps one of the two.
    if before and not lake.has_snapshot(before):
        before = ""
    return ScoreRun(model, version, snapshot, before, committed_at.isoformat())


def scored(
    lake: Lake,
    run: ScoreRun,
    settings: TrainingSettings,
    model: OnnxModel,
    tick: Callable[[int], None],
) -> Iterator[pd.DataFrame]:
    """The scores of the applications that are due, a part at a time, in the order of keys."""
    as_of = pd.Timestamp(run.scored_as_of)
    for entities in parts(lake.batches(due(lake, run))):
        asked = entities.assign(event_timestamp=as_of)
        frame = training_set.with_features(asked, settings, only_known=True)
        yield landed_rows(frame, run, decide(frame, settings, model))
        tick(len(frame))


def due(lake: Lake, run: ScoreRun) -> str:
    current = CURRENT.format(gold=lake.gold, snapshot=run.snapshot)
    if run.based_on:
        before = CURRENT.format(gold=lake.gold, snapshot=run.based_on)
        current = CHANGED.format(current=current, before=before)
    return f"select * from ({current}) order by application_id"


def parts(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in frames of equal size: a part must not depend on how Trino cut pages."""
    waiting: list[pd.DataFrame] = []
    for batch in chain(batches, [None]):
        if batch is not None and len(batch):
            waiting.append(batch)
        while waiting and (batch is None or sum(map(len, waiting)) >= ROWS_IN_A_PART):
            rows = pd.concat(waiting, ignore_index=True)
            yield rows.iloc[:ROWS_IN_A_PART].reset_index(drop=True)
            rest = rows.iloc[ROWS_IN_A_PART:]
            waiting = [rest] if len(rest) else []


def landed_rows(frame: pd.DataFrame, run: ScoreRun, decisions: pd.DataFrame) -> pd.DataFrame:
    """The decisions with what else a row of silver.loan_scores has."""
    return pd.DataFrame(
        {
            "application_id": frame["application_id"].to_numpy(),
            "model_version": run.model_version,
            "score": decisions["score"],
            "decision": decisions["decision"],
            "reasons": decisions["reasons"],
            "features_as_of": frame["features_as_of"].dt.tz_localize(None).to_numpy(),
            "scored_as_of": pd.Timestamp(run.scored_as_of).tz_localize(None),
            "run_id": run.run_id,
        }
    )
