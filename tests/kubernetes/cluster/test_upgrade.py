"""An upgrade with changed settings, and the way back."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.native.stack import wait_until
from infra.paths import REPO
from tests.kubernetes.cluster.control_plane import program
from tests.kubernetes.cluster.lake import EVERYTHING, TOO_LARGE, Lake, is_ready, uids
from tests.kubernetes.release import Document

pytestmark = pytest.mark.slow

STAY = "--selector=!batch.kubernetes.io/job-name"
CHANGED = "--set=settings.TRINO_RETRY_POLICY=TASK"


def test_a_changed_setting_replaces_pods_and_rollback_returns(lake: Lake) -> None:
    lake.up(*EVERYTHING)
    secret, claims = lake.get("secrets")["lakehouse-secrets"], lake.get("persistentvolumeclaims")
    before = uids(lake.get("pods", STAY))
    lake.up(*EVERYTHING, CHANGED)
    assert setting(lake) == "TASK"
    upgraded = uids(lake.get("pods", STAY))
    assert not set(upgraded.values()) & set(before.values())
    lake.helm("rollback", "lakehouse", "1", "--wait", "--wait-for-jobs", "--timeout=3m")
    assert setting(lake) == "NONE"
    assert not set(uids(lake.get("pods", STAY)).values()) & set(upgraded.values())
    assert all(is_ready(one) for one in lake.get("deployments,statefulsets").values())
    assert lake.get("secrets")["lakehouse-secrets"]["data"] == secret["data"]
    assert uids(lake.get("persistentvolumeclaims")) == uids(claims)


def setting(lake: Lake) -> str:
    value: str = lake.get("configmaps")["lakehouse-settings"]["data"]["TRINO_RETRY_POLICY"]
    return value


def test_settings_scale_workers_and_consumers(lake: Lake) -> None:
    lake.up()
    assert (len(lake.pods("trino-worker")), len(lake.pods("consumer"))) == (0, 2)
    lake.up("--set=settings.TRINO_WORKERS=2", "--set=settings.STREAM_CONSUMERS=4")
    assert (len(lake.pods("trino-worker")), len(lake.pods("consumer"))) == (2, 4)
    lake.up("--set=settings.STREAM_CONSUMERS=1")
    assert list(lake.pods("consumer")) == ["consumer-0"]


def test_an_upgrade_keeps_the_number_that_the_autoscaler_chose(lake: Lake) -> None:
    lake.up(*EVERYTHING)
    lake.kubectl("scale", "deployment/scoring", "--replicas=3")
    lake.up(*EVERYTHING, CHANGED)
    assert lake.get("deployments")["scoring"]["spec"]["replicas"] == 3


def test_what_kubectl_changed_is_what_the_values_say_again(lake: Lake) -> None:
    lake.up()
    lake.kubectl("scale", "statefulset/consumer", "--replicas=4")
    lake.up()
    assert sorted(lake.pods("consumer")) == ["consumer-0", "consumer-1"]


def test_an_upgrade_makes_a_secret_that_is_new_and_keeps_the_others(lake: Lake) -> None:
    lake.up()
    before = lake.get("secrets")["lakehouse-secrets"]["data"]
    remove = '[{"op": "remove", "path": "/data/MINIO_ROOT_PASSWORD"}]'
    lake.kubectl("patch", "secret", "lakehouse-secrets", "--type=json", f"--patch={remove}")
    lake.up()
    after = lake.get("secrets")["lakehouse-secrets"]["data"]
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"MINIO_ROOT_PASSWORD"}


def test_a_killed_up_is_named_with_the_way_out(lake: Lake) -> None:
    command = lake.command("up", "--yes", *TOO_LARGE)
    # A session of its own, to kill Helm with it.
    running = subprocess.Popen(command, cwd=REPO, env=lake.env(), start_new_session=True)
    wait_until(lambda: "kafka-0" in lake.pods("kafka"), "the installation")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    done = lake.run("up", "--yes")
    assert done.returncode == 1
    way_out = done.stderr.partition("kubectl ")[2].split()
    assert way_out[-2:] == ["delete", "secret/sh.helm.release.v1.lakehouse.v1"]
    lake.cluster.kubectl(*way_out)
    lake.up()


def test_pods_are_replaced_in_an_order_that_keeps_the_service(lake: Lake) -> None:
    options = ("--set=settings.TRINO_WORKERS=2", "--set=settings.STREAM_CONSUMERS=3")
    lake.up(*options)
    with watched(lake, lake.cluster.folder / "watched.json") as file:
        lake.up(*options, CHANGED)
        assert all(is_ready(one) for one in lake.get("deployments,statefulsets").values())
    moments = list(history(file))
    # Two coordinators would share the workers, two Connects the slot.
    for alone in ("trino", "connect", "flink"):
        assert max(len(there(moment, alone)) for moment in moments) == 1, alone
    # A worker leaves when another one is ready.
    assert min(len(ready(moment, "trino-worker")) for moment in moments) == 2
    # Consumers are replaced one by one.
    assert min(len(ready(moment, "consumer")) for moment in moments) == 2
    assert min(len(ready(moment, "postgres")) for moment in moments) == 0


@contextmanager
def watched(lake: Lake, file: Path) -> Iterator[Path]:
    """Write every change of a pod into a file, those that are there at first."""
    command = [program("kubectl"), "get", "pods", f"--namespace={lake.namespace}", "--watch"]
    options = ["--output-watch-events", "--output=json"]
    with file.open("w") as output:
        watch = subprocess.Popen([*command, *options], env=lake.env(), stdout=output)
        try:
            wait_until(lambda: "kafka-0" in file.read_text(), "the watch")
            yield file
        finally:
            watch.terminate()
            watch.wait()


def history(file: Path) -> Iterator[dict[str, Document]]:
    """The pods at each moment, from that on at which all that were there at first are known."""
    decoder, text, pods = json.JSONDecoder(), file.read_text().strip(), dict[str, Document]()
    while text:
        event, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED":
            del pods[name]
        else:
            pods[name] = event["object"]
        if event["type"] != "ADDED" or "deletionTimestamp" in event["object"]["metadata"]:
            yield dict(pods)


def there(moment: dict[str, Document], component: str) -> list[Document]:
    label = "app.kubernetes.io/component"
    return [pod for pod in moment.values() if pod["metadata"]["labels"][label] == component]


def ready(moment: dict[str, Document], component: str) -> list[Document]:
    wanted = {"type": "Ready", "status": "True"}
    return [
        pod
        for pod in there(moment, component)
        if "deletionTimestamp" not in pod["metadata"]
        and any(wanted.items() <= one.items() for one in pod["status"].get("conditions", []))
    ]
