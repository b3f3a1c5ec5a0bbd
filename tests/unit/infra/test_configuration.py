"""One fact in one place: what the files under infra/ say agrees."""

import inspect
import json
import re
from pathlib import Path

from dotenv import dotenv_values

from infra.bootstrap import MINIO_USERS
from infra.maven import Artifact, locked
from infra.native.stack import SOCKET_PATH_LIMIT, socket_path
from infra.native.supervisor_config import configuration
from infra.paths import CHROMIUM_PACKAGE, INFRA, LOCKS, MINIO_MODULE, VERSIONS
from infra.provision import MAKERS, minio_flags
from infra.services import SERVICES

SETTINGS = dotenv_values(INFRA.parent / ".env.example")


def test_supervisor_knows_the_services_that_we_start() -> None:
    config = configuration()
    programs = {s.removeprefix("program:") for s in config.sections() if "program:" in s}
    parts = [[f"{service.name}-{part}" for part in service.parts] for service in SERVICES]
    started = [names or [service.name] for names, service in zip(parts, SERVICES, strict=True)]
    assert programs == {name for names in started for name in names}
    for program in (config[f"program:{name}"] for name in programs):
        # Health decides when each starts, never supervisor.
        assert program["autostart"] == "false"
        # A file that anybody may read has no secret.
        assert "%(ENV_" in program["command"]


def test_supervisor_runs_each_service_as_it_is_described() -> None:
    config = configuration()
    consumer = config["program:consumer"]
    assert consumer["numprocs"] == "%(ENV_STREAM_CONSUMERS)s"
    assert consumer["stdout_logfile"].endswith("/logs/consumer-%(process_num)d.log")
    assert (consumer["stopsignal"], consumer["stopwaitsecs"]) == ("TERM", "30")
    postgres = config["program:postgres"]
    assert (postgres["stopsignal"], postgres["stopwaitsecs"]) == ("INT", "60")
    # A service is stopped after those that need it.
    priority = {s.name: int(config[f"program:{s.programs[0]}"]["priority"]) for s in SERVICES}
    for service in SERVICES:
        for needed in (*service.needs, *service.setup_needs):
            assert priority[needed] < priority[service.name]


def test_every_service_waits_only_for_services() -> None:
    seen: set[str] = set()
    for service in SERVICES:
        assert {*service.needs, *service.setup_needs} <= seen
        seen.add(service.name)


def test_every_service_waits_for_the_programs_that_it_names() -> None:
    """In supervisor's entry, the script that this runs, and what is done before and after."""
    config = configuration()
    found = set()
    for service in SERVICES:
        texts = [inspect.getsource(step) for step in (service.prepare, service.setup)]
        for program in service.programs:
            printed = "\n".join(config[f"program:{program}"].values())
            scripts = re.findall(r"native/bin/([\w-]+)", printed)
            texts += [printed, *((INFRA / "native/bin" / name).read_text() for name in scripts)]
        homes = re.findall(r"([A-Z]+)_HOME\b", "".join(texts))
        needed = {home.lower() for home in homes} & MAKERS.keys()
        assert needed <= set(service.runs), service.name
        found |= needed
    assert found == {"minio", "hive", "trino", "kafka", "debezium", "flink"}


def test_ports_differ() -> None:
    ports = [value for key, value in SETTINGS.items() if key.endswith("_PORT")]
    assert len(set(ports)) == len(ports)


def test_configuration_names_only_settings_that_exist() -> None:
    given_by_us = {"INFRA", "REPO", "PYTHON", "JAVA_HOME", "SUPERVISOR_SOCKET", "POSTGRES_BIN"}
    given_by_us |= {f"{name.upper().replace('-', '_')}_HOME" for name in MAKERS}
    files = [f for f in INFRA.rglob("*") if f.suffix in {".properties", ".xml", ".conf", ".json"}]
    pattern = re.compile(r"\$\{(?:ENV:|env[.:])?([A-Z_0-9]+)\}|%\(ENV_(\w+)\)s")
    used = {a or b for f in files for a, b in pattern.findall(f.read_text())}
    assert used
    assert used <= SETTINGS.keys() | given_by_us


def test_no_file_contains_a_secret() -> None:
    for key, value in SETTINGS.items():
        if key.endswith(("_PASSWORD", "_SECRET_KEY")):
            assert value == "GENERATE"


def test_locks_hold_the_versions_that_are_asked_for() -> None:
    for service, wanted in VERSIONS["maven"].items():
        assert next(iter(locked(service))) == Artifact.parse(wanted["server"])
        for jar in wanted.get("jars", []) + wanted.get("resolve", []):
            assert Artifact.parse(jar) in locked(service)
    module, version = VERSIONS["go"]["minio"].split("@")
    assert f"{module} {version} // indirect" in (MINIO_MODULE / "go.mod").read_text()
    package, version = VERSIONS["npm"]["chromium"].rsplit("@", 1)
    lock = json.loads((CHROMIUM_PACKAGE / "package-lock.json").read_text())["packages"]
    assert lock[f"node_modules/{package}"]["version"] == version
    assert all(locked.keys() >= {"integrity"} for name, locked in lock.items() if name)
    python = "".join(file.read_text() for file in LOCKS.glob("*.txt"))
    for name, version in VERSIONS["python"].items():
        assert f"{name}=={version} " in python


def test_minio_is_built_with_its_release() -> None:
    assert "cmd.ReleaseTag=RELEASE.2026-02-12T20-18-48Z" in minio_flags()
    assert "cmd.Version=2026-02-12T20:18:48Z" in minio_flags()


def test_ingestion_may_not_delete_nor_leave_bronze() -> None:
    [name] = MINIO_USERS["INGESTION"]
    policy = json.loads((INFRA / f"minio/policies/{name}.json").read_text())
    actions = {action for s in policy["Statement"] for action in s["Action"]}
    resources = {resource for s in policy["Statement"] for resource in s["Resource"]}
    assert not any("Delete" in action or "*" in action for action in actions)
    assert all("BRONZE_BUCKET" in resource for resource in resources)


def test_feast_may_only_put_and_delete_entities() -> None:
    [name] = MINIO_USERS["FEAST"]
    [statement] = json.loads((INFRA / f"minio/policies/{name}.json").read_text())["Statement"]
    assert statement["Resource"] == ["arn:aws:s3:::${GOLD_BUCKET}/_feast_entities/*"]
    assert not any("Get" in action or "*" in action for action in statement["Action"])


def test_a_deep_clone_still_has_a_socket() -> None:
    assert socket_path(Path("/a")) == Path("/a/run/supervisor.sock")
    deep = Path("/" + "d" * 200)
    assert len(str(socket_path(deep))) <= SOCKET_PATH_LIMIT
    assert socket_path(deep) != socket_path(deep / "other")
