"""What the API server itself checks: fields, values, and Pod Security's restricted profile."""

from pathlib import Path

import pytest

from infra.kubernetes.package import values_files
from infra.native.stack import wait_until
from tests.kubernetes.cluster.lake import Lake
from tests.kubernetes.release import ALL, CHOICES, render, run_helm

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("choice", CHOICES)
def test_the_api_server_takes_every_object_without_a_warning(
    choice: str, lake: Lake, helm: str, chart: str
) -> None:
    lake.make_namespace()
    rendered = run_helm(helm, "template", choice, chart, *ALL)
    dry_run = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"]
    done = lake.kubectl(*dry_run, text=rendered)
    assert done.stderr == ""
    objects = render(helm, chart, choice, *ALL).documents
    assert len(done.stdout.splitlines()) == len(objects)
    assert "networkpolicy.networking.k8s.io/default-deny" in done.stdout
    assert "horizontalpodautoscaler.autoscaling/scoring" in done.stdout


def test_a_wrong_field_is_refused(lake: Lake, helm: str, chart: str) -> None:
    """So that the test before this one can fail."""
    lake.make_namespace()
    rendered = run_helm(helm, "template", "local", chart).replace(
        "maxUnavailable", "maxUnavailabel"
    )
    dry_run = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"]
    done = lake.kubectl(*dry_run, text=rendered, check=False)
    assert "maxUnavailabel" in done.stderr


def test_an_open_pod_is_refused(lake: Lake) -> None:
    lake.make_namespace()
    # Before there is one, a pod is refused for another reason.
    wait_until(lambda: "default" in lake.get("serviceaccounts"), "the account of pods")
    done = lake.kubectl("run", "stranger", "--image=busybox:1.37", check=False)
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


@pytest.mark.parametrize("choice", CHOICES)
def test_helm_installs_nothing_in_a_dry_run(choice: str, lake: Lake, helm: str, chart: str) -> None:
    lake.make_namespace()
    files = [f"--values={file}" for file in values_files(Path(chart), choice)]
    host = ["--set=external.postgres.host=10.0.0.5"] if choice == "gke-managed" else []
    lake.helm("install", "lakehouse", chart, "--dry-run=server", *files, *host)
    assert lake.get("deployments,statefulsets,secrets") == {}
