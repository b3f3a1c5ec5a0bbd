"""A control plane of Kubernetes on loopback: a real API server, controllers and scheduler.

Its nodes are KWOK's: they run no containers and take every pod for ready.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import trustme
import yaml

from infra.native.stack import wait_until
from infra.provision import program_folder
from tests.stack import free_port

CONTEXT = "control-plane"
TOKEN = "of-the-administrator"
STAGES = Path(__file__).with_name("stages.yaml")
ZONES = ("zone-a", "zone-b", "zone-c")
# The default, and the one of the values `gke`.
STORAGE_CLASSES = {"standard-rwo": "true", "premium-rwo": "false"}
SPOT = "cloud.google.com/gke-spot"
NOT_READY = "node.kubernetes.io/not-ready"


@dataclass(frozen=True)
class ControlPlane:
    """A running one: where its files are, and how to talk to it."""

    folder: Path
    port: int

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def kubectl(
        self, *arguments: str, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        command = [program("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0 or not check, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def get(self, kinds: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        shown = self.kubectl("get", kinds, f"--namespace={namespace}", "--output=json", *arguments)
        items: list[dict[str, Any]] = json.loads(shown.stdout)["items"]
        return items

    def apply(self, *documents: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", text=yaml.safe_dump_all(documents))

    def is_ready(self) -> bool:
        try:
            answer = requests.get(
                f"https://127.0.0.1:{self.port}/readyz",
                headers={"Authorization": f"Bearer {TOKEN}"},
                verify=str(self.folder / "ca.pem"),
                timeout=5,
            )
        except requests.RequestException:
            return False
        return answer.ok

    def nodes_take_pods(self) -> bool:
        """None has the taint of its creation, which the controllers remove node by node.

        They do so some seconds after a node says that it is ready. Until all are done, pods are
        spread over a part of the nodes.
        """
        nodes = self.get("nodes", "default")
        taints = [taint for node in nodes for taint in node["spec"].get("taints", [])]
        return NOT_READY not in {taint["key"] for taint in taints}


def program(name: str) -> str:
    return str(program_folder("control-plane") / "bin" / name)


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Start all; at the end, stop them in the reverse order: without etcd the server hangs."""
    etcd, peers, port = free_port(), free_port(), free_port()
    cluster = ControlPlane(folder, port)
    write_files(cluster)
    with ExitStack() as running:
        running.enter_context(process(folder, "etcd", etcd_arguments(folder, etcd, peers)))
        wait_until(lambda: answers(f"http://127.0.0.1:{etcd}/health"), "etcd")
        server = server_arguments(folder, etcd, port)
        running.enter_context(process(folder, "kube-apiserver", server))
        wait_until(cluster.is_ready, "kube-apiserver")
        running.callback(remove_volumes, cluster)
        for name, arguments in follower_arguments(folder).items():
            running.enter_context(process(folder, name, arguments))
        cluster.apply(*map(storage_class, STORAGE_CLASSES), *nodes())
        wait_until(cluster.nodes_take_pods, "KWOK's nodes")
        yield cluster


@contextmanager
def process(folder: Path, name: str, arguments: dict[str, str]) -> Iterator[None]:
    options = [f"--{option}={value}" for option, value in arguments.items()]
    env = {**os.environ, "HOME": str(folder), "KWOK_WORKDIR": str(folder / "kwok")}
    with (folder / f"{name}.log").open("w") as log:
        running = subprocess.Popen([program(name), *options], env=env, stdout=log, stderr=log)
        try:
            yield
        finally:
            running.terminate()
            running.wait()


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def write_files(cluster: ControlPlane) -> None:
    """Certificates, the administrator's token, and a kubeconfig."""
    folder, authority = cluster.folder, trustme.CA()
    served = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    served.private_key_pem.write_to_path(folder / "server.key")
    for blob in served.cert_chain_pems:
        blob.write_to_path(folder / "server.pem", append=True)
    (folder / "tokens.csv").write_text(f"{TOKEN},administrator,1,system:masters\n")
    server = {
        "server": f"https://127.0.0.1:{cluster.port}",
        "certificate-authority": str(folder / "ca.pem"),
    }
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": server}],
        "users": [{"name": "administrator", "user": {"token": TOKEN}}],
        "current-context": CONTEXT,
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": "administrator"}}],
    }
    cluster.kubeconfig.write_text(yaml.safe_dump(written))


def etcd_arguments(folder: Path, port: int, peers: int) -> dict[str, str]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return {
        "data-dir": str(folder / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "unsafe-no-fsync": "true",
    }


def server_arguments(folder: Path, etcd: int, port: int) -> dict[str, str]:
    return {
        "etcd-servers": f"http://127.0.0.1:{etcd}",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": str(port),
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": "10.96.0.0/16",
        "authorization-mode": "Node,RBAC",
        "token-auth-file": str(folder / "tokens.csv"),
        "tls-cert-file": str(folder / "server.pem"),
        "tls-private-key-file": str(folder / "server.key"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": str(folder / "server.key"),
        "service-account-signing-key-file": str(folder / "server.key"),
        "cert-dir": str(folder),
    }


def follower_arguments(folder: Path) -> dict[str, dict[str, str]]:
    """Those that only talk to the API server. None serves a port."""
    kubeconfig = {"kubeconfig": str(folder / "kubeconfig")}
    alone = {**kubeconfig, "leader-elect": "false", "secure-port": "0"}
    return {
        "kube-controller-manager": {
            **alone,
            "use-service-account-credentials": "true",
            "service-account-private-key-file": str(folder / "server.key"),
            "root-ca-file": str(folder / "ca.pem"),
            "enable-hostpath-provisioner": "true",
        },
        "kube-scheduler": alone,
        "kwok": {
            **kubeconfig,
            "config": str(STAGES),
            "manage-all-nodes": "true",
            "node-lease-duration-seconds": "40",
        },
    }


def nodes() -> list[dict[str, Any]]:
    """Two in each zone, and one on spot that only takes pods that tolerate it."""
    resources = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    found = []
    for zone in ZONES:
        for name, labels, taints in (
            (f"{zone}-1", {}, []),
            (f"{zone}-2", {}, []),
            (
                f"{zone}-spot",
                {SPOT: "true"},
                [{"key": SPOT, "value": "true", "effect": "NoSchedule"}],
            ),
        ):
            named = {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name, **labels}
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": name, "labels": named},
                    "spec": {"taints": taints},
                    "status": {"capacity": resources, "allocatable": resources},
                }
            )
    return found


def storage_class(name: str) -> dict[str, Any]:
    """One whose volumes are empty folders: nothing is written to them."""
    is_default = {"storageclass.kubernetes.io/is-default-class": STORAGE_CLASSES[name]}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": is_default},
        "provisioner": "kubernetes.io/host-path",
        "allowVolumeExpansion": True,
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def remove_volumes(cluster: ControlPlane) -> None:
    """Their folders, which are outside of ours."""
    for volume in cluster.get("persistentvolumes", "default"):
        shutil.rmtree(volume["spec"]["hostPath"]["path"], ignore_errors=True)
