"""Pods over nodes and zones; what happens when a node is drained."""

from collections import Counter

import pytest

from infra.native.stack import wait_until
from tests.kubernetes.cluster.control_plane import ZONES
from tests.kubernetes.cluster.lake import EVERYTHING, Lake, is_ready, node_of, uids

pytestmark = pytest.mark.slow

GKE = ("--values=gke", *EVERYTHING)
SPOT_NODES = [f"{zone}-spot" for zone in ZONES]


def test_pods_of_a_service_are_spread_over_zones(lake: Lake) -> None:
    lake.up(*GKE, "--set=settings.TRINO_WORKERS=3")
    # The autoscaler starts from one pod, and looks every 15 seconds.
    wait_until(lambda: len(lake.pods("scoring")) == 2, "the autoscaler")
    wait_until(lambda: is_ready(lake.get("deployments")["scoring"]), "scoring")
    for component, numbers in {
        "consumer": [1, 1, 2],
        "features": [1, 1],
        "scoring": [1, 1],
    }.items():
        zones = Counter(zone_of(node_of(pod)) for pod in lake.pods(component).values())
        assert sorted(zones.values()) == numbers, component
    workers = [node_of(pod) for pod in lake.pods("trino-worker").values()]
    assert sorted(workers) == SPOT_NODES
    others = lake.get("pods", "--selector=app.kubernetes.io/component!=trino-worker")
    assert not {node_of(pod) for pod in others.values()} & set(SPOT_NODES)


def zone_of(node: str) -> str:
    return node.rpartition("-")[0]


def test_a_second_pod_of_a_service_leaves_when_the_first_one_is_back(lake: Lake) -> None:
    lake.up(*GKE)
    first, second = lake.pods("trino-worker")
    lake.kubectl("cordon", *SPOT_NODES)
    try:
        assert lake.evict(first) == ""
        assert "would violate the pod's disruption budget" in lake.evict(second)
    finally:
        lake.kubectl("uncordon", *SPOT_NODES)
    wait_until(lambda: is_ready(lake.get("deployments")["trino-worker"]), "trino-worker")
    wait_until(lambda: not lake.evict(second), "the second eviction")


def test_the_only_pod_of_a_service_may_leave(lake: Lake) -> None:
    lake.up()
    before = uids(lake.pods("postgres"))
    assert lake.evict("postgres-0") == ""
    wait_until(lambda: is_ready(lake.get("statefulsets")["postgres"]), "postgres")
    assert uids(lake.pods("postgres")) != before


def test_a_node_is_drained_and_all_is_ready_again(lake: Lake) -> None:
    lake.up(*EVERYTHING)
    node = node_of(lake.pods("kafka")["kafka-0"])
    lake.kubectl("drain", node, "--delete-emptydir-data", "--timeout=2m")
    try:
        wait_until(
            lambda: all(is_ready(one) for one in lake.get("deployments,statefulsets").values()),
            "the lakehouse",
        )
        pods = lake.get("pods", "--selector=!batch.kubernetes.io/job-name")
        assert node not in {node_of(pod) for pod in pods.values()}
    finally:
        lake.kubectl("uncordon", node)
