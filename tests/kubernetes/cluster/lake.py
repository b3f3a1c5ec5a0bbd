"""A lakehouse in a namespace of the control plane, by the commands that people type."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.kubernetes.package import NAMESPACE
from infra.paths import REPO
from infra.provision import program_folder
from tests.kubernetes.cluster.control_plane import CONTEXT, ControlPlane, program
from tests.kubernetes.release import Document

EVERYTHING = ("--with=features", "--with=scoring")
# Memory that no node has.
TOO_LARGE = (
    "--set=workloads.kafka.containers.kafka.memoryRequest=900Gi",
    "--set=workloads.kafka.containers.kafka.memory=900Gi",
)


@dataclass(frozen=True)
class Lake:
    cluster: ControlPlane
    namespace: str

    def up(self, *options: str) -> str:
        """What `up` printed; it succeeded."""
        done = self.run("up", "--yes", "--timeout=3m", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def down(self) -> None:
        done = self.run("down", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        call = self.command(command, *options)
        return subprocess.run(
            call, cwd=REPO, env=self.env(), text=True, capture_output=True, check=False
        )

    def command(self, name: str, *options: str) -> list[str]:
        target = [f"--context={CONTEXT}", f"--namespace={self.namespace}"]
        return [sys.executable, "-m", "infra.kubernetes", name, *target, *options]

    def make_namespace(self) -> None:
        """As `up` makes it."""
        text = NAMESPACE.read_text().replace("name: lakehouse", f"name: {self.namespace}")
        self.cluster.kubectl("apply", "--filename=-", text=text)

    def helm(self, *arguments: str) -> str:
        target = [f"--kube-context={CONTEXT}", f"--namespace={self.namespace}"]
        command = [str(program_folder("helm") / "helm"), *arguments, *target]
        return subprocess.check_output(command, env=self.env(), text=True)

    def env(self) -> dict[str, str]:
        """The control plane's own kubectl, and no other cluster."""
        path = f"{Path(program('kubectl')).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.cluster.kubeconfig)}

    def get(self, kinds: str, *arguments: str) -> dict[str, Document]:
        """By name."""
        found = self.cluster.get(kinds, self.namespace, *arguments)
        return {one["metadata"]["name"]: one for one in found}

    def pods(self, component: str) -> dict[str, Document]:
        return self.get("pods", f"--selector=app.kubernetes.io/component={component}")

    def kubectl(
        self, *arguments: str, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        named = f"--namespace={self.namespace}"
        return self.cluster.kubectl(named, *arguments, text=text, check=check)

    def evict(self, pod: str) -> str:
        """Empty, or why the API refuses it: what a drain of the pod's node asks."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        asked = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        text = json.dumps(asked)
        done = self.kubectl("create", f"--raw={path}", "--filename=-", text=text, check=False)
        return done.stderr if done.returncode else ""


@contextmanager
def lake_in(cluster: ControlPlane, namespace: str) -> Iterator[Lake]:
    """A namespace that does not exist yet; it is deleted at the end, with all that it has."""
    lake = Lake(cluster, namespace)
    try:
        yield lake
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def is_ready(workload: Document) -> bool:
    """All its pods are there, ready, and of the newest template."""
    wanted, status = workload["spec"]["replicas"], workload["status"]
    counts = [status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")]
    return counts == [wanted] * 3


def node_of(pod: Document) -> str:
    name: str = pod["spec"]["nodeName"]
    return name


def uids(objects: dict[str, Document]) -> dict[str, Any]:
    return {name: one["metadata"]["uid"] for name, one in objects.items()}
