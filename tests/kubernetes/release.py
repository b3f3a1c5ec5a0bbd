"""What Helm makes of the chart."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.kubernetes.package import VALUES, values_files

Document = dict[str, Any]
CHOICES = tuple(VALUES)
# Services that only start by name are in these tests, too; Cloud SQL has an address.
ALL = ("workloads.features.enabled=true", "workloads.scoring.enabled=true")
CLOUD_SQL = "10.9.8.7"


@dataclass(frozen=True)
class Release:
    """The documents of one release."""

    documents: list[Document]

    def of_kind(self, *kinds: str) -> dict[str, Document]:
        return {d["metadata"]["name"]: d for d in self.documents if d["kind"] in kinds}

    def pods(self) -> dict[str, Document]:
        """The template of each pod, by the name of what makes it."""
        makers = self.of_kind("Deployment", "StatefulSet", "Job")
        return {name: maker["spec"]["template"] for name, maker in makers.items()}

    def serving(self) -> dict[str, Document]:
        """The containers that stay, by name."""
        makers = self.of_kind("Deployment", "StatefulSet")
        specs = [maker["spec"]["template"]["spec"] for maker in makers.values()]
        return {one["name"]: one for spec in specs for one in spec["containers"]}

    def containers(self) -> Iterator[tuple[str, Document]]:
        """Every container of every pod, those that run before the others included."""
        for name, pod in self.pods().items():
            for one in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
                yield f"{name}/{one['name']}", one


def render(helm: str, chart: str, choice: str, *sets: str) -> Release:
    text = run_helm(helm, "template", choice, chart, *sets)
    return Release([document for document in yaml.safe_load_all(text) if document])


def run_helm(helm: str, command: str, choice: str, chart: str, *sets: str) -> str:
    arguments = [f"--values={file}" for file in values_files(Path(chart), choice)]
    if choice == "gke-managed":
        arguments.append(f"--set=external.postgres.host={CLOUD_SQL}")
    named = ["lakehouse"] if command == "template" else []
    done = subprocess.run(
        [helm, command, *named, chart, *arguments, *(f"--set={one}" for one in sets)],
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names_of(variables: list[Document]) -> set[str]:
    return {variable["name"] for variable in variables}


def secrets_of(container: Document) -> set[str] | None:
    """The secrets that a container sees; None: all."""
    if any("secretRef" in source for source in container.get("envFrom", [])):
        return None
    sources = [one.get("valueFrom", {}) for one in container.get("env", [])]
    return {one["secretKeyRef"]["key"] for one in sources if "secretKeyRef" in one}
