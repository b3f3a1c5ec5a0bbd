"""The chart has the services of the other runtimes: names, ports, needs, set-up, ends."""

import kubernetes_validate  # type: ignore[import-untyped] # pyproject.toml cannot say it
import pytest
import yaml
from dotenv import dotenv_values

from infra.env import EXAMPLE
from infra.paths import REPO
from infra.services import SERVICES, Service
from tests.kubernetes.release import CHOICES, CLOUD_SQL, Document, Release, render, run_helm

ENV = {key: value or "" for key, value in dotenv_values(EXAMPLE).items()}
# A shell for people; natively they have one.
ONLY_IN_KUBERNETES = {"tools"}
# The oldest Kubernetes that the chart is for, and the newest one whose schemas there are.
SUPPORTED = ("1.29", "1.37")
by_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def makers(release: Release) -> dict[str, Document]:
    return release.of_kind("Deployment", "StatefulSet")


@pytest.mark.parametrize("choice", CHOICES)
def test_helm_has_nothing_to_say(helm: str, chart: str, choice: str) -> None:
    assert "0 chart(s) failed" in run_helm(helm, "lint", choice, chart, "x.y=z")


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_document_fits_the_schemas(release: Release, version: str) -> None:
    assert len(release.documents) > 80
    for document in release.documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_namespace_is_restricted() -> None:
    namespace = yaml.safe_load((REPO / "infra/kubernetes/namespace.yaml").read_text())
    kubernetes_validate.validate(namespace, SUPPORTED[1], strict=True)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_service_of_the_other_runtimes_is_in_the_chart_and_the_reverse(
    local: Release,
) -> None:
    programs = {program for service in SERVICES for program in service.programs}
    assert set(local.serving()) == programs | ONLY_IN_KUBERNETES


def test_a_service_that_starts_by_name_does_so_here(helm: str, chart: str) -> None:
    usual = {program for service in SERVICES if not service.by_name for program in service.programs}
    assert set(render(helm, chart, "local").serving()) == usual | ONLY_IN_KUBERNETES


@by_service
def test_ports_are_those_of_env(service: Service, local: Release) -> None:
    wanted = [int(ENV[port]) for port in service.ports]
    served = local.of_kind("Service").get(service.name, {"spec": {}})["spec"].get("ports", [])
    assert [port["port"] for port in served] == wanted
    container = local.serving()[service.programs[0]]
    listening = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    assert {port["targetPort"]: port["port"] for port in served} == listening


def test_no_other_container_has_ports(local: Release) -> None:
    serving = {service.programs[0] for service in SERVICES if service.ports}
    assert {name for name, one in local.serving().items() if "ports" in one} == serving


@by_service
def test_a_pod_waits_for_what_a_process_waits_for(service: Service, local: Release) -> None:
    first = makers(local)[service.name]["spec"]["template"]["spec"].get("initContainers", [{}])[0]
    command = ["python", "-m", "infra", "await", *service.needs]
    assert first.get("command") == (command if service.needs else None)


@by_service
def test_a_set_up_step_is_a_job_of_its_revision(service: Service, local: Release) -> None:
    jobs = local.of_kind("Job")
    has_setup = service.setup is not Service.setup
    assert (f"{service.name}-setup-1" in jobs) == has_setup
    if has_setup:
        spec = jobs[f"{service.name}-setup-1"]["spec"]["template"]["spec"]
        [awaiting], [step] = spec["initContainers"], spec["containers"]
        assert step["command"] == ["python", "-m", "infra", "setup", service.name]
        wanted = ["--healthy", service.name, *service.setup_needs]
        assert awaiting["command"] == ["python", "-m", "infra", "await", *wanted]


@by_service
def test_a_pod_has_as_long_to_stop_as_a_process(service: Service, local: Release) -> None:
    spec = makers(local)[service.name]["spec"]["template"]["spec"]
    seconds = spec["terminationGracePeriodSeconds"]
    if spec["containers"][0].get("lifecycle"):
        assert seconds > service.stop_seconds  # its tasks end first
    else:
        assert seconds == service.stop_seconds


@by_service
def test_counts_are_settings(service: Service, helm: str, chart: str) -> None:
    if service.count:
        release = render(helm, chart, "local", f"settings.{service.count}=5")
        assert makers(release)[service.name]["spec"]["replicas"] == 5


def test_a_service_outside_replaces_one(helm: str, chart: str) -> None:
    release = render(helm, chart, "gke-managed")
    assert "postgres" not in makers(release).keys() | release.of_kind("Service").keys()
    settings = release.of_kind("ConfigMap")["lakehouse-settings"]["data"]
    assert settings["POSTGRES_HOST"] == CLOUD_SQL
    assert "postgres-setup-1" in release.of_kind("Job")


def test_the_scoring_server_scales_by_its_work(release: Release) -> None:
    scaler = release.of_kind("HorizontalPodAutoscaler")["scoring"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "scoring"
    assert "replicas" not in makers(release)["scoring"]["spec"]


def test_the_scoring_server_is_ready_when_it_can_decide(release: Release) -> None:
    container = release.serving()["scoring"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_more_arguments_come_after_those_that_a_service_needs(helm: str, chart: str) -> None:
    """Of equal ones Java and Trino take the last."""
    few, more = (
        render(helm, chart, choice).serving()["trino-worker"]["args"] for choice in ("local", "gke")
    )
    assert "-Dcoordinator=false" in few
    assert more[: len(few)] == few
    assert any(one.startswith("-Xmx") for one in more[len(few) :])
