"""What `up` makes of the chart on a real API server, controllers and scheduler."""

import pytest

from tests.kubernetes.cluster.lake import EVERYTHING, Lake, is_ready, uids
from tests.kubernetes.release import Release

pytestmark = pytest.mark.slow


def test_every_workload_becomes_ready(installed: Lake, local: Release) -> None:
    workloads = installed.get("deployments,statefulsets")
    assert workloads.keys() == local.of_kind("Deployment", "StatefulSet").keys()
    assert [name for name, one in workloads.items() if not is_ready(one)] == []


def test_every_set_up_step_ends(installed: Lake, local: Release) -> None:
    jobs = installed.get("jobs")
    assert jobs.keys() == local.of_kind("Job").keys()
    for name, job in jobs.items():
        assert job["status"].get("succeeded") == 1, name


def test_every_volume_is_bound(installed: Lake) -> None:
    claims = installed.get("persistentvolumeclaims")
    assert sorted(claims) == ["data-airflow-0", "data-kafka-0", "data-minio-0", "data-postgres-0"]
    assert {claim["status"]["phase"] for claim in claims.values()} == {"Bound"}


def test_status_shows_all_and_no_reason(installed: Lake) -> None:
    shown = installed.run("status").stdout
    for name in ("pod/kafka-0", "job.batch/postgres-setup-1", "data-minio-0", "autoscaler"):
        assert name in shown
    assert "not ready" not in shown


def test_a_second_up_replaces_no_pod_and_keeps_the_secret(lake: Lake) -> None:
    lake.up(*EVERYTHING)
    stay = "--selector=!batch.kubernetes.io/job-name"
    pods, secrets = uids(lake.get("pods", stay)), lake.get("secrets")
    lake.up(*EVERYTHING)
    assert uids(lake.get("pods", stay)) == pods
    assert lake.get("secrets")["lakehouse-secrets"] == secrets["lakehouse-secrets"]
    assert "postgres-setup-2" in lake.get("jobs")
