"""Containers and plain processes are the same services, and containers are closed."""

import re
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from infra.docker.images import variables
from infra.paths import REPO
from infra.services import SERVICES, Service

COMPOSE = yaml.safe_load((REPO / "docker-compose.yml").read_text())
CONTAINERS: dict[str, Any] = COMPOSE["services"]
# `make docs` and a shell are commands natively.
ONLY_IN_DOCKER = {"docs", "tools"}
# Ports without clients outside the stack.
INSIDE = {"KAFKA_CONTROLLER_PORT", "TRINO_WORKER_PORT"}
INSIDE |= {port for service in SERVICES for port in service.ports if port.startswith("FLINK_")}
INSIDE -= {"FLINK_PORT"}
STEPS = {name for name in CONTAINERS if name.endswith(("-prepare", "-setup"))}
SERVING = sorted(CONTAINERS.keys() - STEPS)


def waits_for(container: str) -> set[str]:
    """What has to be healthy, or done, before it starts."""
    direct = set(CONTAINERS[container].get("depends_on", {}))
    return direct.union(*(waits_for(name) for name in direct))


def test_every_service_of_one_runtime_is_in_the_other() -> None:
    native = {process for service in SERVICES for process in service.programs}
    assert native == set(SERVING) - ONLY_IN_DOCKER


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_containers_wait_for_what_processes_wait_for(service: Service) -> None:
    for process in service.programs:
        assert waits_for(process) >= set(service.needs)
    if service.setup_needs:
        assert waits_for(f"{service.name}-setup") >= set(service.setup_needs)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_what_is_set_up_natively_is_set_up_in_containers(service: Service) -> None:
    default = Service("", (), lambda _: False, "")
    has_setup = service.setup.__code__ is not default.setup.__code__
    assert (f"{service.name}-setup" in STEPS) == has_setup
    if has_setup:
        command = CONTAINERS[f"{service.name}-setup"]["command"]
        assert command == ["python", "-m", "infra", "setup", service.name]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_ports_are_those_of_env_and_only_on_its_address(service: Service) -> None:
    published = CONTAINERS[service.programs[0]].get("ports", [])
    expected = [port for port in service.ports if port not in INSIDE]
    assert [port.rpartition(":")[0] for port in published] == [
        f"${{BIND_HOST}}:${{{port}}}" for port in expected
    ]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_containers_are_stopped_as_processes_are(service: Service) -> None:
    for process in service.programs:
        container = CONTAINERS[process]
        assert container.get("stop_signal", "SIGTERM") == f"SIG{service.stop_signal}"
        assert container.get("stop_grace_period", "10s") == f"{service.stop_seconds}s"
        assert container["deploy"].get("replicas") == (
            f"${{{service.count}}}" if service.count else None
        )


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_is_closed(name: str) -> None:
    container = CONTAINERS[name]
    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["deploy"]["resources"]["limits"].keys() == {"memory", "pids"}
    # Where a container may write, nothing of ours is.
    assert "./infra:/lakehouse/infra:ro" in container["volumes"]


@pytest.mark.parametrize("name", SERVING)
def test_every_service_has_a_health_check(name: str) -> None:
    assert "test" in CONTAINERS[name]["healthcheck"] or name == "tools"


def test_a_step_is_waited_for_by_one_that_stays() -> None:
    """Else `docker compose up --wait` takes its end for a failure."""
    waited_for = set().union(*(CONTAINERS[name].get("depends_on", {}) for name in SERVING))
    assert waited_for >= STEPS


def test_every_variable_is_given() -> None:
    text = (REPO / "docker-compose.yml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)\}", text))
    used |= {name for one in CONTAINERS.values() for name in one.get("build", {}).get("args", {})}
    assert used <= dotenv_values(REPO / ".env.example").keys() | variables().keys()


def test_every_image_has_an_exact_version() -> None:
    images = {name: value for name, value in variables().items() if name.endswith("_IMAGE")}
    assert {one["image"].strip("${}") for one in CONTAINERS.values()} <= images.keys()
    for image in images.values():
        assert re.fullmatch(r"[a-z/-]+:[\w.-]*\d[\w.-]*", image)
