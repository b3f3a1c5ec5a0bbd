"""Pods are closed, limited and spread, and no password is a default."""

import re

import pytest

from infra.kubernetes import facts
from tests.kubernetes.release import Release, render, secrets_of

IMAGE = re.compile(r"[a-z/-]+:[\w.-]*\d[\w.-]*")
# A variable whose value would be a password.
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN")


def test_every_pod_is_restricted(release: Release) -> None:
    assert len(release.pods()) > 12
    for name, pod in release.pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 999, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert not any("hostPath" in volume for volume in spec["volumes"]), name


def test_every_container_is_closed(release: Release) -> None:
    assert len(list(release.containers())) > 25
    for name, container in release.containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert not any("hostPort" in port for port in container.get("ports", [])), name


def test_every_container_has_requests_and_limits(release: Release) -> None:
    for name, container in release.containers():
        for kind in ("requests", "limits"):
            wanted = {"cpu", "memory", "ephemeral-storage"}
            assert container["resources"][kind].keys() == wanted, name


def test_no_pod_has_a_token_or_variables_of_services(release: Release) -> None:
    accounts = release.of_kind("ServiceAccount")
    for name, pod in release.pods().items():
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["enableServiceLinks"] is False, name
        assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False


def test_every_image_has_an_exact_version(release: Release) -> None:
    for name, container in release.containers():
        assert IMAGE.fullmatch(container["image"]), name
        assert not container["image"].endswith("latest"), name


def test_our_images_come_from_the_given_registry(helm: str, chart: str) -> None:
    release = render(helm, chart, "local", "registry=registry.example/lake/")
    images = {container["image"] for _, container in release.containers()}
    assert any(image.startswith("registry.example/lake/loan-lakehouse/") for image in images)
    assert not any(image.startswith("loan-lakehouse/") for image in images)
    assert any(image.startswith("trinodb/trino:") for image in images)


def test_every_container_that_stays_has_its_probes(release: Release) -> None:
    for name, container in release.serving().items():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe].keys() & {"httpGet", "tcpSocket", "exec"}, f"{name} {probe}"


def test_every_service_is_spread_and_may_be_drained_one_by_one(release: Release) -> None:
    budgets = release.of_kind("PodDisruptionBudget")
    for name, maker in release.of_kind("Deployment", "StatefulSet").items():
        labels = maker["spec"]["selector"]["matchLabels"]
        assert budgets[name]["spec"]["selector"]["matchLabels"] == labels
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        spread = maker["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [one["labelSelector"]["matchLabels"] for one in spread] == [labels, labels]


def test_volumes_stay(release: Release) -> None:
    claims = 0
    for name, maker in release.of_kind("StatefulSet").items():
        policy = maker["spec"]["persistentVolumeClaimRetentionPolicy"]
        assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}, name
        claims += len(maker["spec"].get("volumeClaimTemplates", []))
    assert claims >= 3


def test_secrets_differ_in_every_release(release: Release, helm: str, chart: str) -> None:
    secret = release.of_kind("Secret")["lakehouse-secrets"]
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert set(secret["data"]) == set(facts.secret_names())
    assert len(set(secret["data"].values())) == len(secret["data"])
    assert all(len(value) > 40 for value in secret["data"].values())  # 32 characters, in base64
    again = render(helm, chart, "local").of_kind("Secret")["lakehouse-secrets"]
    assert not set(again["data"].values()) & set(secret["data"].values())


def test_no_password_is_written_anywhere_else(release: Release) -> None:
    settings = release.of_kind("ConfigMap")["lakehouse-settings"]["data"]
    assert not set(settings) & set(facts.secret_names())
    assert not [name for name in settings if SECRET.search(name)]
    for name, container in release.containers():
        for variable in container.get("env", []):
            assert not ("value" in variable and SECRET.search(variable["name"])), name


def test_a_secret_of_the_user_replaces_ours(helm: str, chart: str) -> None:
    release = render(helm, chart, "local", "secret.existing=mine")
    assert not release.of_kind("Secret")
    for name, container in release.containers():
        for source in container.get("envFrom", []):
            assert source.get("secretRef", {"name": "mine"}) == {"name": "mine"}, name
        for variable in container.get("env", []):
            key = variable.get("valueFrom", {}).get("secretKeyRef", {"name": "mine"})
            assert key["name"] == "mine", name


@pytest.mark.parametrize("program", ["minio", "kafka", "trino", "trino-worker", "hive", "connect"])
def test_a_program_of_others_sees_its_own_secrets_only(program: str, local: Release) -> None:
    secrets = secrets_of(local.serving()[program])
    assert secrets is not None
    assert len(secrets) <= 2
