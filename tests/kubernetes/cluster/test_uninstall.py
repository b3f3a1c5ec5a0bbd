"""What stays when the lakehouse is uninstalled: its data and their passwords."""

import pytest

from tests.kubernetes.cluster.lake import EVERYTHING, TOO_LARGE, Lake, is_ready, uids

pytestmark = pytest.mark.slow

# What Kubernetes puts into every namespace.
BY_KUBERNETES = {"kube-root-ca.crt", "default"}


def everything_in(lake: Lake) -> set[str]:
    """The names of all that is in the namespace, of each kind that can be deleted."""
    listed = ["api-resources", "--namespaced", "--verbs=list,delete", "--output=name"]
    kinds = set(lake.kubectl(*listed).stdout.split()) - {"events", "events.events.k8s.io"}
    shown = lake.kubectl("get", ",".join(sorted(kinds)), "--output=name", "--ignore-not-found")
    return {
        f"{kind.partition('.')[0]}/{name}"
        for line in shown.stdout.split()
        for kind, _, name in [line.partition("/")]
        if name not in BY_KUBERNETES
    }


def test_only_volumes_and_the_secret_stay_and_are_used_again(lake: Lake) -> None:
    lake.up(*EVERYTHING)
    secret = lake.get("secrets")["lakehouse-secrets"]
    volumes = lake.get("persistentvolumeclaims")
    lake.down()
    kept = {f"persistentvolumeclaim/{name}" for name in volumes} | {"secret/lakehouse-secrets"}
    assert everything_in(lake) == kept
    lake.up(*EVERYTHING)
    assert lake.get("secrets")["lakehouse-secrets"]["data"] == secret["data"]
    assert uids(lake.get("persistentvolumeclaims")) == uids(volumes)
    assert all(is_ready(one) for one in lake.get("deployments,statefulsets").values())


def test_what_a_failed_upgrade_made_does_not_stay(lake: Lake) -> None:
    lake.up()
    lake.kubectl("delete", "job", "postgres-setup-1")  # as Kubernetes does after a day
    assert lake.run("up", "--yes", "--timeout=5s", *TOO_LARGE).returncode == 1
    assert "postgres-setup-2" in lake.get("jobs")
    assert lake.run("up", "--yes", "--timeout=5s", *TOO_LARGE).returncode == 1
    lake.down()
    kinds = {name.partition("/")[0] for name in everything_in(lake)}
    assert kinds == {"persistentvolumeclaim", "secret"}


def test_down_of_nothing_succeeds(lake: Lake) -> None:
    lake.down()
