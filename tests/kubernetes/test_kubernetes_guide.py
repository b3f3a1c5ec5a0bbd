"""The tables of docs/kubernetes.md are those of the chart."""

import re

import pytest
import yaml

from infra.kubernetes.package import CHART
from infra.paths import REPO
from tests.kubernetes.release import ALL, CHOICES, Document, Release, render

GUIDE = (REPO / "docs/kubernetes.md").read_text()
UNITS = {"Mi": 1 / 1024, "Gi": 1.0}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def gibibytes(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(\w+)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def cores(quantity: str) -> float:
    return int(quantity.removesuffix("m")) / 1000 if quantity.endswith("m") else float(quantity)


def replicas(name: str, maker: Document, release: Release) -> int:
    scaler = release.of_kind("HorizontalPodAutoscaler").get(name)
    return int(scaler["spec"]["minReplicas"] if scaler else maker["spec"]["replicas"])


def sizes(release: Release) -> list[str]:
    """Pods, requested cores and memory, limit of memory, volumes: as the guide writes them."""
    pods, cpu, requested, limit, stored = 0, 0.0, 0.0, 0.0, 0.0
    for name, maker in release.of_kind("Deployment", "StatefulSet").items():
        count = replicas(name, maker, release)
        pods += count
        for container in maker["spec"]["template"]["spec"]["containers"]:
            resources = container["resources"]
            cpu += count * cores(str(resources["requests"]["cpu"]))
            requested += count * gibibytes(resources["requests"]["memory"])
            limit += count * gibibytes(resources["limits"]["memory"])
        for claim in maker["spec"].get("volumeClaimTemplates", []):
            stored += count * gibibytes(claim["spec"]["resources"]["requests"]["storage"])
    return [str(pods), f"{cpu:.1f}", *(f"{one:.0f} GiB" for one in (requested, limit, stored))]


@pytest.mark.parametrize("choice", CHOICES)
def test_sizes_are_those_of_the_chart(helm: str, chart: str, choice: str) -> None:
    by_choice = {row[0]: row[1:6] for row in rows("Size and cost")}
    assert by_choice[choice] == sizes(render(helm, chart, choice, *ALL))


def test_who_talks_to_whom_is_the_table_of_the_chart() -> None:
    edges = yaml.safe_load((CHART / "values.yaml").read_text())["edges"]
    shown = {row[0]: re.findall(r"[\w-]+", row[1]) for row in rows("Who talks to whom")}
    assert shown == edges
