"""Why something is not ready: what the cluster says of it in its events."""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
# What makes pods, and pods. A Deployment's are made by its ReplicaSets.
KINDS = "replicasets.apps,statefulsets.apps,jobs.batch,pods,events"


def reasons(items: list[Document]) -> list[str]:
    """A line for each of `items` that is not ready and has a warning: the last one."""
    warnings = {}
    for event in sorted((one for one in items if one["kind"] == "Event"), key=seen):
        if event["type"] == "Warning":
            warnings[event["involvedObject"]["uid"]] = event["message"].strip()
    waiting = [one for one in items if one["metadata"]["uid"] in warnings and not is_ready(one)]
    return [
        f"{one['kind'].lower()}/{one['metadata']['name']}: {warnings[one['metadata']['uid']]}"
        for one in waiting
    ]


def seen(event: Document) -> str:
    """When it was last seen; newer clients of the API leave the older field empty."""
    moments = (event.get("lastTimestamp"), event.get("eventTime"))
    return max((moment for moment in moments if moment), default="")


def is_ready(item: Document) -> bool:
    status = item.get("status", {})
    if item["kind"] in {"ReplicaSet", "StatefulSet"}:
        return bool(status.get("readyReplicas", 0) >= item["spec"]["replicas"])
    if item["kind"] == "Job":
        return "Complete" in set(true_conditions(status))
    if item["kind"] == "Pod":
        return status["phase"] == "Succeeded" or "Ready" in set(true_conditions(status))
    return True


def true_conditions(status: Document) -> Iterator[str]:
    for condition in status.get("conditions", []):
        if condition["status"] == "True":
            yield condition["type"]
