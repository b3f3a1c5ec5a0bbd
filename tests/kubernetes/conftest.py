"""Helm, the packaged chart, and what comes of it with each choice of values."""

import os
from pathlib import Path

import pytest

from infra.kubernetes.package import package
from infra.provision import program_folder, provision
from tests.kubernetes.release import ALL, CHOICES, Release, render


@pytest.fixture(scope="session")
def helm() -> str:
    """Helm; it is built if the cache lacks it, which takes minutes: BUILD_TOOLS=0 forbids that."""
    if not program_folder("helm").exists() and os.environ.get("BUILD_TOOLS") == "0":
        pytest.skip("Helm is not in the cache, and BUILD_TOOLS=0 forbids to build it")
    provision(["helm"])
    return str(program_folder("helm") / "helm")


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(package(tmp_path_factory.mktemp("chart")))


@pytest.fixture(scope="session", params=CHOICES)
def release(request: pytest.FixtureRequest, helm: str, chart: str) -> Release:
    """All services, with each choice of values."""
    return render(helm, chart, request.param, *ALL)


@pytest.fixture(scope="session")
def local(helm: str, chart: str) -> Release:
    return render(helm, chart, "local", *ALL)


@pytest.fixture
def copied_chart(tmp_path: Path) -> Path:
    """A chart to change."""
    return package(tmp_path)
