"""The guide's commands for volumes: larger ones, and those of a backup."""

import pytest

from infra.paths import REPO
from tests.kubernetes.cluster.lake import Lake, is_ready, uids

pytestmark = pytest.mark.slow

GUIDE = (REPO / "docs/kubernetes.md").read_text()
LARGER = "--set=workloads.minio.storage.size=8Gi"
GROW = (
    'patch pvc data-minio-0 --patch \'{"spec": {"resources": {"requests": {"storage": "8Gi"}}}}\'',
    "delete statefulset minio --cascade=orphan",
)


def test_a_volume_grows_under_the_running_service(lake: Lake) -> None:
    lake.up()
    pods = uids(lake.pods("minio"))
    assert "updates to statefulset spec" in lake.run("up", "--yes", LARGER).stderr
    for command in GROW:
        assert f"kubectl --namespace lakehouse {command}" in GUIDE
        lake.kubectl(*[part.strip("'") for part in command.split(" ", maxsplit=4)])
    lake.up(LARGER)
    claim = lake.get("persistentvolumeclaims")["data-minio-0"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "8Gi"
    assert uids(lake.pods("minio")) == pods
    assert is_ready(lake.get("statefulsets")["minio"])


def test_a_restored_secret_and_volume_are_used(lake: Lake) -> None:
    lake.up()
    exported = lake.kubectl("get", "secret", "lakehouse-secrets", "--output=yaml").stdout
    secret = lake.get("secrets")["lakehouse-secrets"]
    lake.cluster.kubectl("delete", "namespace", lake.namespace)
    lake.cluster.kubectl("create", "namespace", lake.namespace)
    lake.kubectl("create", "--filename=-", text=exported)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-postgres-0", "namespace": lake.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
        },
    }
    lake.cluster.apply(volume)
    restored = uids(lake.get("persistentvolumeclaims"))
    lake.up()
    assert lake.get("secrets")["lakehouse-secrets"]["data"] == secret["data"]
    assert uids(lake.get("persistentvolumeclaims")).items() >= restored.items()
