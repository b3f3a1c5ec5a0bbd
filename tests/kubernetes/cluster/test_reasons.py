"""`up` and `status` say why something is not ready."""

import pytest

from tests.kubernetes.cluster.lake import TOO_LARGE, Lake

pytestmark = pytest.mark.slow


def test_a_quota_that_is_exceeded_is_named(lake: Lake) -> None:
    lake.make_namespace()
    lake.kubectl("create", "quota", "small", "--hard=limits.memory=8Gi")
    done = lake.run("up", "--yes", "--timeout=15s")
    assert done.returncode == 1
    assert "exceeded quota: small, requested: limits.memory=" in done.stdout
    assert "statefulset/airflow: " in done.stdout
    assert "exceeded quota: small" in lake.run("status").stdout
    lake.kubectl("delete", "quota", "small")
    lake.up()
    assert "not ready" not in lake.run("status").stdout


def test_pods_that_no_node_takes_are_named(lake: Lake) -> None:
    done = lake.run("up", "--yes", "--timeout=15s", *TOO_LARGE)
    assert done.returncode == 1
    [line] = [one for one in done.stdout.splitlines() if one.startswith("pod/kafka-0: ")]
    assert "Insufficient memory" in line
