"""A training run: evidence first, then one version in the registry, then the gates."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ml import card, evaluate, export, gates, leaks, models, plots, reference, training_set
from ml.artifacts import (
    CARD,
    NATIVE,
    ONNX,
    PARAMETERS,
    REFERENCE,
    REPORTS,
    SETTINGS,
    TRAINING_SET,
    TYPICAL_VALUES,
)
from ml.errors import MlError
from ml.evaluate import GROUPED, TIME, WITH_RULES, Evidence
from ml.features import typical_values
from ml.gates import Gate
from ml.lake import Lake
from ml.metrics import NAMES, Estimate, auc_difference
from ml.models import LIGHTGBM, Boosted, Calibration, Logistic, Parameters
from ml.prepare import Prepared, prepare
from ml.registry import COMPLETE, FAILED, GATES, PASSED, WHY, Registry
from ml.settings import TrainingSettings, as_text
from ml.training_set import TrainingSet

Say = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """A model that all rows were learned from, and what is known of it."""

    model: Logistic | Boosted
    parameters: Parameters
    evidence: Evidence
    data: Prepared
    onnx: bytes
    parity: export.Parity


@dataclass(frozen=True)
class RunContent:
    """What a run in MLflow is made of; `reports` is the address of its monitoring reports."""

    candidate: Candidate
    trained_on: TrainingSet
    settings: TrainingSettings
    gates: list[Gate]
    reports: str


@dataclass(frozen=True)
class Result:
    version: str
    promoted: bool
    why_not: str
    candidate: Candidate
    gates: list[Gate]


def read(env: dict[str, str], settings: TrainingSettings, file: Path | None) -> TrainingSet:
    """The training set of the lake as it is, or one that was saved."""
    if file is None:
        read_now = training_set.read(Lake(env), settings)
        skew = training_set.skew(read_now.frame, settings)
        return TrainingSet(read_now.frame, {**read_now.provenance, "skew": skew})
    frame = training_set.load(file)
    origin = {"file": str(file), "commit": training_set.commit(), "seed": settings.seed}
    return TrainingSet(frame, {**origin, "rows": len(frame)})


def fit(everything: pd.DataFrame, settings: TrainingSettings, progress: Progress) -> Candidate:
    """Evaluate, then fit the model that decides on all rows. Raises MlError if it cannot."""
    data = prepare(everything, settings)
    task = progress.add_task("training", total=evaluate.steps(settings))

    def tick(what: str) -> None:
        progress.update(task, advance=1, description=f"training: {what}")

    evidence, parameters = evaluate.evaluate(data, settings, tick)
    model = models.fit(evidence.model, data.matrix, data.labels, parameters)
    content = export.to_onnx(model, settings.features).SerializeToString()
    parity = export.check_parity(content, settings.features, data.frame, model.scores(data.matrix))
    if parity.difference > export.MAXIMUM_DIFFERENCE:
        raise MlError(
            f"ONNX differs from the model by {parity.difference:.1e}: it would decide otherwise",
            "report it with the versions of lightgbm and onnxruntime in infra/locks/python.txt",
        )
    return Candidate(model, parameters, evidence, data, content, parity)


def bar(console: Any) -> Progress:  # noqa: ANN401
    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def register(
    registry: Registry, candidate: Candidate, trained_on: TrainingSet, settings: TrainingSettings
) -> tuple[ModelVersion, list[Gate]]:
    """Store all of the evidence, then the version. Until then there is nothing to promote."""
    found = gates.judge(
        candidate.evidence, against_champion(registry, candidate, settings), settings
    )
    mlflow.set_experiment(settings.tracking.experiment)
    client = registry.client
    with mlflow.start_run(tags={"seed": str(settings.seed)}) as run:
        log_numbers(candidate)
        with tempfile.TemporaryDirectory() as folder:
            reports = registry.artifact_page(run.info, REPORTS)
            stored = RunContent(candidate, trained_on, settings, found, reports)
            digest = write_artifacts(Path(folder), stored)
            mlflow.log_artifacts(folder)
        mlflow.log_params({"training_set_sha256": digest, **flat(trained_on.provenance)})
        run_id = run.info.run_id
    ensure_model(registry)
    source = f"{run.info.artifact_uri}"
    version = client.create_model_version(registry.model, source, run_id)
    registry.describe(version)
    why_not = gates.verdict(found)
    for name, value in (
        (GATES, FAILED if why_not else PASSED),
        (WHY, why_not),
        ("training_set_sha256", digest),
        (COMPLETE, "true"),
    ):
        client.set_model_version_tag(registry.model, version.version, name, value)
    return client.get_model_version(registry.model, version.version), found


def against_champion(
    registry: Registry, candidate: Candidate, settings: TrainingSettings
) -> Estimate | None:
    """The candidate's AUC less the champion's, on the newest applications.

    The champion has learned from most of these rows. What it found, its parameters, is fitted
    to the same older rows as the candidate: neither then knows the rows that judge them.
    """
    champion = registry.by_alias(registry.champion_alias)
    if champion is None:
        return None
    stored = json.loads(registry.artifact(champion, PARAMETERS))
    parameters = Parameters(
        stored["lightgbm"], stored["rounds"], Calibration(**stored["calibration"])
    )
    data, time = candidate.data, candidate.evidence.time
    columns = data.matrix.shape[1]
    if len(parameters.lightgbm["monotone_constraints"]) != columns:
        parameters = Parameters(
            parameters.lightgbm | {"monotone_constraints": [0] * columns},
            parameters.rounds,
            parameters.calibration,
        )
    rows, labels = data.matrix[time.train], data.labels[time.train]
    other = models.fit(stored["model"], rows, labels, parameters)
    return auc_difference(
        data.labels[time.test],
        candidate.evidence.scores[candidate.evidence.model][TIME],
        other.scores(data.matrix[time.test]),
        seed=settings.seed,
        resamples=settings.interval.resamples,
        level=settings.interval.level,
    )


def log_numbers(candidate: Candidate) -> None:
    keys = {TIME: "time", GROUPED: "cv", WITH_RULES: "with_rules"}
    metrics = {
        f"{'lightgbm' if model == LIGHTGBM else 'logistic'}_{keys.get(how, 'cv_random')}_{name}": (
            figure.value
        )
        for model, figures in candidate.evidence.figures.items()
        for how, of in figures.items()
        for name, figure in of.items()
    }
    metrics["noise_loss"] = candidate.evidence.noise_loss
    metrics |= {f"onnx_{name}": float(value) for name, value in asdict(candidate.parity).items()}
    mlflow.log_metrics(metrics)
    for rows, auc in candidate.evidence.learning_curve:
        mlflow.log_metric("learning_curve_auc", auc, step=rows)
    mlflow.log_param("model", candidate.evidence.model)
    mlflow.log_params({**candidate.parameters.lightgbm, "rounds": candidate.parameters.rounds})


def write_artifacts(folder: Path, stored: RunContent) -> str:
    """All files of a run; the SHA-256 of its training set."""
    candidate, trained_on, settings = stored.candidate, stored.trained_on, stored.settings
    digest = training_set.save(trained_on.frame, folder / TRAINING_SET)
    (folder / NATIVE).write_text(native(candidate.model))
    (folder / ONNX).write_bytes(candidate.onnx)
    typical = typical_values(candidate.data.frame, settings.features)
    (folder / TYPICAL_VALUES).write_text(json.dumps(typical, indent=2))
    (folder / SETTINGS).write_text(as_text(settings.model_dump()))
    parameters = {
        "model": candidate.evidence.model,
        "lightgbm": candidate.parameters.lightgbm,
        "rounds": candidate.parameters.rounds,
        "calibration": asdict(candidate.parameters.calibration),
    }
    (folder / PARAMETERS).write_text(json.dumps(parameters, indent=2))
    (folder / "provenance.json").write_text(
        json.dumps({**trained_on.provenance, "training_set_sha256": digest}, indent=2)
    )
    held_back = candidate.evidence.scores[candidate.evidence.model][candidate.evidence.stricter]
    bins = reference.describe(candidate.data, held_back, settings)
    bins.to_parquet(folder / REFERENCE, index=False)
    (folder / "plots").mkdir()
    images = []
    for name, figure in plots.figures(candidate.data, candidate.evidence, settings):
        image = card.png(figure)
        (folder / "plots" / f"{name}.png").write_bytes(image)
        images.append((name.replace("_", " "), card.inline(image)))
    provenance = {**trained_on.provenance, "training_set_sha256": digest}
    (folder / CARD).write_text(make_card(stored, provenance, images))
    return digest


def native(model: Logistic | Boosted) -> str:
    """The model as text: LightGBM's own, or the weights as JSON."""
    if isinstance(model, Boosted):
        return str(model.booster.model_to_string())
    weights = {
        "mean": model.mean.tolist(),
        "scale": model.scale.tolist(),
        "weights": model.weights.tolist(),
        "intercept": model.intercept,
    }
    return json.dumps(weights, indent=2)


def make_card(stored: RunContent, provenance: dict[str, Any], images: list[tuple[str, str]]) -> str:
    candidate, settings, found = stored.candidate, stored.settings, stored.gates
    data, evidence = candidate.data, candidate.evidence
    why_not = gates.verdict(found)
    lines = [
        {"model": model, "how": how, "values": [str(of[name]) for name in NAMES]}
        for model, figures in evidence.figures.items()
        for how, of in figures.items()
    ]
    sign = {1: "+", -1: "-"}
    signs = (f"{name} ({sign[way]})" for name, way in settings.features.monotonic.items())
    alone = [
        (name, leaks.single_feature_auc(data.frame[name], data.labels))
        for name in settings.features.names
    ]
    return card.render(
        model=settings.model,
        chosen=evidence.model,
        rules=[
            {"name": rule.name, "reason": rule.reason, "declined": data.declined[rule.name]}
            for rule in settings.policy_rules
        ],
        rows=len(data.all_labels),
        eligible=len(data.labels),
        gaps=data.gaps,
        verdict=f"It stays challenger: {why_not}." if why_not else "It passes all gates.",
        level=settings.interval.level,
        duplicates=f"{evidence.duplicates:,}",
        grouped=GROUPED,
        stricter=evidence.stricter,
        names=NAMES,
        figures=lines,
        gates=found,
        approve_at=settings.training.approve_at,
        groups=evidence.groups,
        plots=images,
        reports=stored.reports,
        monotonic=", ".join(signs),
        features=alone,
        provenance=sorted(flat(provenance).items()),
    )


def ensure_model(registry: Registry) -> None:
    if not registry.client.search_registered_models(f"name = '{registry.model}'"):
        registry.client.create_registered_model(registry.model)


def flat(values: dict[str, Any]) -> dict[str, str]:
    """Nested values as the parameters of a run, whose values are texts."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": str(one) for key, one in value.items()}
        else:
            found[name] = ", ".join(value) if isinstance(value, list) else str(value)
    return found


def decide(
    registry: Registry, version: ModelVersion, found: list[Gate], *, manual: bool
) -> tuple[bool, str]:
    """Make the version challenger, and champion if it may be; whether, and else why not."""
    client = registry.client
    client.set_registered_model_alias(registry.model, registry.challenger_alias, version.version)
    if why_not := gates.verdict(found):
        return False, why_not
    if manual:
        return False, f"PROMOTE=manual: `python -m ml promote --version {version.version}`"
    registry.promote(version)
    return True, ""
