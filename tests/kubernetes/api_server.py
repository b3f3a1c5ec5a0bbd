"""The little of Kubernetes' API that Helm asks to render a chart against a cluster."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

# The kinds of the chart: group and version, kind, and the name in an address.
KINDS = {
    "v1": {
        "ConfigMap": "configmaps",
        "Secret": "secrets",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
    },
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "batch/v1": {"Job": "jobs"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
}


def answers() -> dict[str, Any]:
    """What the server says of itself, by path."""
    groups = [
        {
            "name": version.split("/")[0],
            "versions": [{"groupVersion": version, "version": version.split("/")[1]}],
            "preferredVersion": {"groupVersion": version, "version": version.split("/")[1]},
        }
        for version in KINDS
        if "/" in version
    ]
    found: dict[str, Any] = {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for version, kinds in KINDS.items():
        resources = [
            {"name": name, "kind": kind, "namespaced": True, "verbs": ["get", "create", "patch"]}
            for kind, name in kinds.items()
        ]
        described = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        found[f"/{'apis' if '/' in version else 'api'}/{version}"] = described
    return found


class Handler(BaseHTTPRequestHandler):
    server: "ApiServer"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = self.server.objects.get(path) or answers().get(path)
        missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(found or missing).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class ApiServer(ThreadingHTTPServer):
    def __init__(self, objects: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = objects


@contextmanager
def api_server(objects: dict[str, Any]) -> Iterator[str]:
    """The address of a server that has these objects, by their paths."""
    with ApiServer(objects) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
