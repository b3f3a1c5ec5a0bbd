"""What is not ready has its last warning as reason; what is ready has none."""

from typing import Any

import pytest

from infra.kubernetes.reasons import reasons
from tests.kubernetes.release import Document


def event(of: str, message: str, kind: str = "Warning", **moment: str | None) -> Document:
    meta = {"metadata": {"uid": f"event of {of}", "name": "an-event"}}
    return {"kind": "Event", **meta, "involvedObject": {"uid": of}, "type": kind, **moment} | {
        "message": message
    }


def item(kind: str, status: dict[str, Any], replicas: int = 1) -> Document:
    meta = {"metadata": {"uid": "1", "name": "one"}}
    return {"kind": kind, **meta, "spec": {"replicas": replicas}, "status": status}


def condition(name: str) -> dict[str, Any]:
    return {"phase": "Running", "conditions": [{"type": name, "status": "True"}]}


def test_the_last_warning_counts() -> None:
    events = [
        event("1", "newer", eventTime="2026-02-02T00:00:00Z", lastTimestamp=None),
        event("1", "older", lastTimestamp="2026-01-01T00:00:00Z"),
        event("1", "no warning", kind="Normal", lastTimestamp="2026-03-03T00:00:00Z"),
        event("2", "of something that is gone", lastTimestamp="2026-03-03T00:00:00Z"),
    ]
    assert reasons([item("StatefulSet", {}), *events]) == ["statefulset/one: newer"]


@pytest.mark.parametrize(
    "ready",
    [
        item("StatefulSet", {"readyReplicas": 1}),
        item("ReplicaSet", {}, replicas=0),
        item("Job", condition("Complete")),
        item("Pod", condition("Ready")),
        item("Pod", {"phase": "Succeeded"}),
    ],
)
def test_what_is_ready_has_no_reason(ready: Document) -> None:
    assert reasons([ready, event("1", "at its start", lastTimestamp="2026-01-01T00:00:00Z")]) == []


@pytest.mark.parametrize(
    "waiting",
    [
        item("ReplicaSet", {"readyReplicas": 1}, replicas=2),
        item("Job", condition("Failed")),
        item("Pod", condition("PodScheduled")),
    ],
)
def test_what_waits_has_one(waiting: Document) -> None:
    [line] = reasons([waiting, event("1", "why", lastTimestamp="2026-01-01T00:00:00Z")])
    assert line.endswith("/one: why")
