"""Pods reach what they need, by policies from one table, and nothing else."""

import yaml

from infra.kubernetes.package import CHART
from infra.services import SERVICES
from tests.kubernetes.release import CLOUD_SQL, Document, Release

COMPONENT = "app.kubernetes.io/component"
Edge = tuple[str, str, int]  # from, to, port


def table() -> dict[str, list[str]]:
    edges: dict[str, list[str]] = yaml.safe_load((CHART / "values.yaml").read_text())["edges"]
    return edges


def outgoing(release: Release) -> set[Edge]:
    """What pods may ask, by the policies of those that ask."""
    found = set()
    for policy in release.of_kind("NetworkPolicy").values():
        source = policy["spec"]["podSelector"].get("matchLabels", {}).get(COMPONENT)
        for rule in policy["spec"].get("egress", []) if source else []:
            for target in rule["to"]:
                found |= {(source, target_name(target), port["port"]) for port in rule["ports"]}
    return found


def incoming(release: Release) -> set[Edge]:
    """The same, by the policies of those that are asked."""
    found = set()
    for policy in release.of_kind("NetworkPolicy").values():
        target = policy["spec"]["podSelector"].get("matchLabels", {}).get(COMPONENT)
        for rule in policy["spec"].get("ingress", []):
            for source in rule["from"]:
                found |= {(target_name(source), target, port["port"]) for port in rule["ports"]}
    return found


def target_name(peer: Document) -> str:
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    return str(peer["podSelector"]["matchLabels"][COMPONENT])


def test_all_is_denied_first(release: Release) -> None:
    deny = release.of_kind("NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_pod_is_selected_and_every_policy_selects_one(release: Release) -> None:
    pods = [pod["metadata"]["labels"] for pod in release.pods().values()]
    selected = []
    for name, policy in release.of_kind("NetworkPolicy").items():
        labels = policy["spec"]["podSelector"].get("matchLabels", {}).items()
        matching = [pod[COMPONENT] for pod in pods if labels <= pod.items()]
        assert matching, name
        selected += matching if labels else []
    assert set(selected) == {pod[COMPONENT] for pod in pods}


def test_both_ends_allow_the_same(release: Release) -> None:
    inside = {edge for edge in outgoing(release) if "/" not in edge[1]}
    assert len(inside) > 30
    assert inside == incoming(release)


def test_the_policies_are_the_table(local: Release) -> None:
    steps = {
        f"{s.name}-setup": [s.name, *s.setup_needs]
        for s in SERVICES
        if f"{s.name}-setup-1" in local.of_kind("Job")
    }
    wanted = {(source, to) for source, all_of in (table() | steps).items() for to in all_of}
    assert {(source, target) for source, target, _ in outgoing(local)} == wanted


def test_what_waits_for_a_service_may_ask_it() -> None:
    # The consumers, which Flink waits for, are asked at Kafka.
    asked = {service.name for service in SERVICES if service.ports}
    for service in SERVICES:
        assert set(service.needs) & asked <= set(table().get(service.name, [])), service.name


def test_a_service_outside_is_reached_at_its_address(release: Release) -> None:
    outside = {edge for edge in outgoing(release) if "/" in edge[1]}
    if "postgres" in release.serving():
        assert not outside
    else:
        assert {edge[1:] for edge in outside} == {(f"{CLOUD_SQL}/32", 5432)}
        assert {edge[0] for edge in outside} >= {"hive", "airflow", "postgres-setup"}


def test_names_are_asked_in_kube_system_only(release: Release) -> None:
    [rule] = release.of_kind("NetworkPolicy")["names"]["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53}
    [namespace, *others] = rule["to"]
    label = {"kubernetes.io/metadata.name": "kube-system"}
    assert namespace == {"namespaceSelector": {"matchLabels": label}}
    assert all(other["ipBlock"]["cidr"].endswith("/32") for other in others)
