"""Makes the chart: its templates, the configuration files, and values that are facts elsewhere."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import yaml

from infra.kubernetes import facts
from infra.paths import INFRA, REPO

CHART = INFRA / "kubernetes/chart"
NAMESPACE = INFRA / "kubernetes/namespace.yaml"
# What each choice of values is made of, in the chart's folder `values`; the last file counts.
VALUES = {
    "local": ("local",),
    "gke": ("gke",),
    "gke-managed": ("gke", "gke-managed"),
}


def package(folder: Path) -> Path:
    """Write the complete chart into a new folder `lakehouse` of `folder`."""
    chart = folder / "lakehouse"
    shutil.copytree(CHART, chart)
    for name in facts.CONFIGURATION:
        for file in facts.files(name):
            target = chart / "infra" / name / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(INFRA / name / file, target)
    ours = yaml.safe_load((CHART / "values.yaml").read_text())
    (chart / "values.yaml").write_text(yaml.safe_dump(merged(facts.values(), ours)))
    (chart / "Chart.yaml").write_text(yaml.safe_dump(description()))
    return chart


def values_files(chart: Path, values: str) -> list[Path]:
    return [chart / f"values/{name}.yaml" for name in VALUES[values]]


def description() -> dict[str, str]:
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    about = "PostgreSQL, MinIO, Kafka, Trino, Airflow, Feast and MLflow as one lakehouse"
    named = {"apiVersion": "v2", "name": "lakehouse", "type": "application", "description": about}
    return {**named, "version": version, "appVersion": version, "kubeVersion": ">=1.29.0-0"}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both, and at each depth what `over` says."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result
