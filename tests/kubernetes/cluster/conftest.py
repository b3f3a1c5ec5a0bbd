"""One control plane for all tests of this folder; each has its own namespace."""

import re
from collections.abc import Iterator

import pytest

from infra.provision import program_folder
from tests.kubernetes.cluster.control_plane import ControlPlane, control_plane
from tests.kubernetes.cluster.lake import EVERYTHING, Lake, lake_in


@pytest.fixture(scope="session")
def cluster(helm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """It is never built here: that takes too long for a test."""
    if not program_folder("control-plane").exists():
        pytest.skip("the control plane is not in the cache: `make k8s-tools` builds it")
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def installed(cluster: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Lake]:
    """All services with the values `local`, for tests that leave them as they are."""
    with lake_in(cluster, namespace_of(request.module.__name__)) as lake:
        lake.up(*EVERYTHING)
        yield lake


@pytest.fixture
def lake(cluster: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Lake]:
    """A namespace for this test, which does not exist yet."""
    with lake_in(cluster, namespace_of(request.node.name)) as empty:
        yield empty


def namespace_of(test: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", test.rpartition(".")[2].lower())
    return name.removeprefix("test-")[:60].strip("-")
