"""What the champion's scores and their outcomes say: whether a threshold is passed.

dbt's marts hold the figures, the settings file the thresholds.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.entities.model_registry import ModelVersion

from ml import policy, report, training_set
from ml.artifacts import REPORTS, TRAINING_SET
from ml.lake import Lake
from ml.registry import Registry
from ml.settings import Monitoring, TrainingSettings

# The tags of a version: the newest sentence, empty if all is well, and the newest report.
ALARM, REPORT = "monitoring_alarm", "monitoring_report"
# Of each side; Evidently holds them in memory.
ROWS_IN_REPORT = 20_000

MART = "select * from {gold}.{mart} where model_version = {version}"
# As the model saw them; the newest rows, for that is what is judged.
SCORED = """
select features.*, 100 * loan_amount / annual_income as requested_to_income_percent
from {silver}.loan_scores as scores
inner join {gold}.historical_features as features
    on
        scores.application_id = features.application_id
        and scores.features_as_of = features.event_timestamp
where scores.model_version = {version} and scores.score > 0
    and cast(scores.features_as_of as date) > date '{newest}' - interval '{days}' day
order by scores.features_as_of desc
limit {rows}
"""


@dataclass(frozen=True)
class Marts:
    """The marts' rows of one version of the model."""

    volume: pd.DataFrame
    drift: pd.DataFrame
    outcomes: pd.DataFrame


@dataclass(frozen=True)
class Found:
    """What monitoring found; `alarm` is a sentence, empty if no threshold is passed."""

    version: str
    alarm: str
    report: str


def monitor(lake: Lake, registry: Registry, settings: TrainingSettings) -> Found:
    """Judge the champion's scores, store the report with its run and the sentence as its tag.

    Raises MlError if there is no champion, the marts are not built, or a service fails.
    """
    champion = registry.champion()
    marts = read(lake, int(champion.version))
    alarm = "; ".join(judge(marts, settings.monitoring))
    stored = ""
    if not marts.volume.empty:
        stored = store_report(lake, registry, champion, marts, settings)
    for tag, value in ((REPORT, stored), (ALARM, alarm)):
        registry.client.set_model_version_tag(registry.model, champion.version, tag, value)
    return Found(str(champion.version), alarm, stored)


def last(registry: Registry) -> Found:
    """What the last one found of the champion."""
    champion = registry.champion()
    tags = champion.tags
    return Found(str(champion.version), tags.get(ALARM, ""), tags.get(REPORT, ""))


def read(lake: Lake, version: int) -> Marts:
    names = ("score_volume_by_day", "score_drift_by_day", "score_outcomes_by_month")
    columns = (
        ["scored_day", "applications", "policy_declined_percent", "referred_percent"],
        ["scored_day", "feature", "applications", "psi"],
        ["decided_month", "applications", "calibration_error", "auc"],
    )
    frames = [lake.frame(MART.format(gold=lake.gold, mart=name, version=version)) for name in names]
    return Marts(
        *(
            pd.DataFrame(columns=of_mart) if frame.empty else frame
            for frame, of_mart in zip(frames, columns, strict=True)
        )
    )


def judge(marts: Marts, limits: Monitoring) -> Iterator[str]:
    """A sentence for each threshold that is passed."""
    volume = judged_days(marts.volume, limits)
    for share, what, limit in (
        ("policy_declined_percent", "declined by a policy rule", limits.maximum_policy_share),
        ("referred_percent", "referred: a feature is missing", limits.maximum_referred_share),
    ):
        if over := worst(volume, share, 100 * limit):
            day, value = over
            yield f"on {day} {value:.1f} % are {what}, above {100 * limit:g} %"
    drift = judged_days(marts.drift, limits)
    for feature, of_feature in drift.groupby("feature"):
        is_score = feature == "score"
        limit = limits.maximum_score_psi if is_score else limits.maximum_feature_psi
        if over := worst(of_feature, "psi", limit):
            day, value = over
            yield f"on {day} {feature} differs from training by a PSI of {value:.2f}, above {limit}"
    yield from judge_outcomes(marts.outcomes, limits)


def judge_outcomes(outcomes: pd.DataFrame, limits: Monitoring) -> Iterator[str]:
    """The newest month that has enough decisions."""
    enough = outcomes[outcomes["applications"] >= limits.minimum_outcomes]
    if enough.empty:
        return
    newest = enough.sort_values("decided_month").iloc[-1]
    month = f"{newest['decided_month']}"[:7]
    if newest["calibration_error"] > limits.maximum_ece:
        yield (
            f"of the decisions in {month} the calibration error is"
            f" {newest['calibration_error']:.3f}, above {limits.maximum_ece}"
        )
    if pd.notna(newest["auc"]) and newest["auc"] < limits.minimum_auc:
        yield (
            f"of the decisions in {month} the AUC is {newest['auc']:.3f}, below"
            f" {limits.minimum_auc}"
        )


def judged_days(frame: pd.DataFrame, limits: Monitoring) -> pd.DataFrame:
    """The newest days, those with enough applications: few differ by chance."""
    if frame.empty:
        return frame
    days = pd.to_datetime(frame["scored_day"])
    newest = days > days.max() - pd.Timedelta(days=limits.days)
    return frame[newest & (frame["applications"] >= limits.minimum_rows)]


def worst(frame: pd.DataFrame, column: str, limit: float) -> tuple[str, float] | None:
    """The day and the value that is farthest above the limit."""
    over = frame[frame[column] > limit]
    if over.empty:
        return None
    row = over.loc[over[column].astype(float).idxmax()]
    return str(row["scored_day"]), float(row[column])


def store_report(
    lake: Lake, registry: Registry, champion: ModelVersion, marts: Marts, settings: TrainingSettings
) -> str:
    """Write the report into the version's run, one a week; its path there."""
    newest = max(pd.to_datetime(marts.volume["scored_day"]))
    current = lake.frame(
        SCORED.format(
            silver=lake.silver,
            gold=lake.gold,
            version=champion.version,
            newest=newest.date(),
            days=settings.monitoring.days,
            rows=ROWS_IN_REPORT,
        )
    )
    if current.empty:
        return ""
    week = newest.isocalendar()
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder, TRAINING_SET)
        stored.write_bytes(registry.artifact(champion, TRAINING_SET))
        learned = training_set.load(stored)
        left = learned[policy.broken_rule(learned, settings.policy_rules) == policy.NONE]
        reference = left.sample(min(ROWS_IN_REPORT, len(left)), random_state=settings.seed)
        file = Path(folder, f"{week.year}-W{week.week:02}.html")
        report.write(current, reference, settings.features, file)
        registry.client.log_artifact(str(champion.run_id), str(file), REPORTS)
    return f"{REPORTS}/{file.name}"
