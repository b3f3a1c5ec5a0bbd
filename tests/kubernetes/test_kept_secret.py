"""Helm keeps the Secret that a cluster has: what it is asked for here is answered by a stand-in."""

import base64
import subprocess
from typing import Any

import yaml

from infra.kubernetes import facts
from tests.kubernetes.api_server import api_server
from tests.kubernetes.release import Document

PATH = "/api/v1/namespaces/lake/secrets/lakehouse-secrets"


def secret(data: dict[str, str], **annotations: str) -> dict[str, Any]:
    """A Secret of the release, as its cluster has it."""
    owner = {"meta.helm.sh/release-name": "lakehouse", "meta.helm.sh/release-namespace": "lake"}
    metadata = {
        "name": "lakehouse-secrets",
        "namespace": "lake",
        "annotations": owner | annotations,
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def rendered(helm: str, chart: str, objects: dict[str, Any]) -> Document:
    with api_server(objects) as address:
        done = subprocess.run(
            [
                *(helm, "template", "lakehouse", chart, "--dry-run=server", "--namespace=lake"),
                *(f"--kube-apiserver={address}", "--kube-token=none"),
                *("--disable-openapi-validation", "--show-only=templates/secret.yaml"),
            ],
            text=True,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: Document = yaml.safe_load(done.stdout)
    return found


def test_what_there_is_is_kept_and_what_is_missing_is_made(helm: str, chart: str) -> None:
    names = facts.secret_names()
    kept = {name: base64.b64encode(f"old {name}".encode()).decode() for name in names[:-1]}
    made = rendered(helm, chart, {PATH: secret(kept)})["data"]
    assert {name: made[name] for name in kept} == kept
    assert len(base64.b64decode(made[names[-1]])) == 32


def test_without_one_all_are_made(helm: str, chart: str) -> None:
    made = rendered(helm, chart, {})["data"]
    assert {len(base64.b64decode(value)) for value in made.values()} == {32}
