"""Pods read the files and settings of the other runtimes."""

import re
from pathlib import Path, PurePosixPath

import pytest
from dotenv import dotenv_values

from infra.env import EXAMPLE
from infra.kubernetes import facts
from infra.paths import INFRA
from infra.services import SERVICES
from tests.kubernetes.release import ALL, Document, Release, names_of, render, secrets_of

HOME = PurePosixPath(facts.PLACES["INFRA"])
USED_FILE = re.compile(r"\$\(?INFRA\)?/([\w./-]+)")
# How Trino's, Hadoop's and Kafka's configuration, and scripts, name a variable.
VARIABLE = re.compile(r"\$\{(?:ENV:|env[.:])?(\w+)\}|\$(\w+)")
# The files that a program of others reads.
READ = {
    "hive": ["hive/metastore-site.xml"],
    "trino": ["trino/*.properties", "trino/catalog/*"],
    "trino-worker": ["trino/*.properties", "trino/catalog/*"],
    "kafka": ["kafka/kraft.properties"],
    "connect": ["kafka/connect.properties", "debezium/source.json"],
    "mlflow": ["native/bin/mlflow"],
}
# What a program reads by itself, so that no file of ours names it.
OF_ITS_OWN = {"mlflow": {"MLFLOW_FLASK_SERVER_SECRET_KEY"}}


def visible(pod: Document, container: Document, release: Release) -> dict[str, str]:
    """The files of infra/ that a container sees by mounts, with their text."""
    maps = release.of_kind("ConfigMap")
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    found = {}
    for mount in container["volumeMounts"]:
        if not (config := volumes.get(mount["name"], {}).get("configMap")):
            continue
        assert mount["readOnly"], mount
        for item in config["items"]:
            path = PurePosixPath(item["path"])
            if not path.is_relative_to(mount.get("subPath", ".")):
                continue
            place = PurePosixPath(mount["mountPath"], path.relative_to(mount.get("subPath", ".")))
            found[str(place.relative_to(HOME))] = maps[config["name"]]["data"][item["key"]]
    return found


def test_files_are_those_of_infra_at_their_places(release: Release) -> None:
    seen: set[str] = set()
    for pod in release.pods().values():
        for container in pod["spec"]["containers"]:
            files = visible(pod, container, release)
            seen |= files.keys()
            for name, text in files.items():
                assert (INFRA / name).read_text() == text, name
    packaged = {
        f"{folder}/{file}" for folder in facts.CONFIGURATION for file in facts.files(folder)
    }
    assert seen == packaged


def test_no_configuration_file_is_left_out() -> None:
    """A folder that has no Python is complete."""
    for folder in facts.CONFIGURATION:
        root = INFRA / folder
        all_files = {
            file for file in root.rglob("*") if file.is_file() and "__pycache__" not in str(file)
        }
        if not any(file.suffix in {".py", ".mod"} for file in all_files):
            missing = {str(file.relative_to(root)) for file in all_files} - set(facts.files(folder))
            assert not missing, missing


def test_every_mount_has_a_volume(release: Release) -> None:
    makers = release.of_kind("Deployment", "StatefulSet", "Job")
    for name, pod in release.pods().items():
        claims = makers[name]["spec"].get("volumeClaimTemplates", [])
        volumes = names_of(pod["spec"]["volumes"]) | {one["metadata"]["name"] for one in claims}
        containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
        mounts = {mount["name"] for one in containers for mount in one["volumeMounts"]}
        assert mounts == volumes, name


def test_scripts_that_run_are_there_and_may_run(release: Release) -> None:
    for name, pod in release.pods().items():
        modes = {v["configMap"]["defaultMode"] for v in pod["spec"]["volumes"] if "configMap" in v}
        assert modes <= {0o555}, name
        for container in pod["spec"]["containers"]:
            files = visible(pod, container, release)
            for used in set(USED_FILE.findall(str(container))):
                assert used in files, f"{name}: {used}"


def test_a_container_has_every_setting_once(release: Release) -> None:
    settings = release.of_kind("ConfigMap")["lakehouse-settings"]["data"]
    example = dotenv_values(EXAMPLE).keys()
    assert example - facts.secret_names() <= settings.keys()
    assert settings.keys() - example == {"REPO", "INFRA", "MALLOC_ARENA_MAX"}
    for name, container in release.containers():
        assert {"configMapRef": {"name": "lakehouse-settings"}} in container["envFrom"], name
        variables = [one["name"] for one in container.get("env", [])]
        assert len(variables) == len(set(variables)), name


def test_each_service_is_at_its_own_name(local: Release) -> None:
    settings = local.of_kind("ConfigMap")["lakehouse-settings"]["data"]
    for service in SERVICES:
        if service.ports and (host := facts.host_setting(service)) in settings:
            assert settings[host] == service.name
    hosts = {name: value for name, value in settings.items() if name.endswith("_HOST")}
    without_host = {"trino-worker", "consumer"}
    # Only the service's other process, in the same pod, asks for it.
    assert hosts.pop("FLINK_TASK_HOST") == "127.0.0.1"
    everywhere = settings["BIND_HOST"]
    assert set(hosts.values()) == {*local.of_kind("Service"), everywhere} - without_host
    assert settings["S3_ENDPOINT"] == "http://minio:9000"


@pytest.mark.parametrize("program", READ)
def test_a_program_has_the_variables_of_its_files_and_no_other_secret(
    program: str, local: Release
) -> None:
    container = local.serving()[program]
    texts = [file.read_text() for pattern in READ[program] for file in INFRA.glob(pattern)]
    assert texts
    used = {one or other for text in texts for one, other in VARIABLE.findall(text)}
    used |= OF_ITS_OWN.get(program, set())
    assert used & set(facts.secret_names()) == secrets_of(container)
    settings = local.of_kind("ConfigMap")["lakehouse-settings"]["data"]
    known = settings.keys() | names_of(container.get("env", []))
    assert used & set(facts.example()) <= known


def test_a_changed_file_makes_new_pods_of_those_that_read_it(
    helm: str, copied_chart: Path, local: Release
) -> None:
    file = copied_chart / "infra/hive/metastore-site.xml"
    file.write_text(file.read_text() + "<!-- changed -->")
    changed = render(helm, str(copied_chart), "local", *ALL)
    before, after = local.pods(), changed.pods()
    assert {name for name in before if before[name] != after[name]} == {"hive"}


def test_a_changed_setting_makes_new_pods(helm: str, chart: str, local: Release) -> None:
    changed = render(helm, chart, "local", *ALL, "settings.STREAM_GROUP=other").pods()
    same = {name for name, pod in local.pods().items() if pod == changed[name]}
    assert same == set(local.of_kind("Job"))  # new at every revision
