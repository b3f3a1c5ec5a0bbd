"""The stack's guarantees: start order, repair, clear errors, no leftovers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import CONFLICT
from ipaddress import ip_address
from pathlib import Path

import boto3
import psutil
import psycopg2
import pytest
import requests
from botocore.exceptions import ClientError

from infra import bootstrap
from infra.env import ensure_env
from infra.errors import LakehouseError
from infra.maven import Artifact, digest, fetch, locked
from infra.native.stack import Supervisor, tree_memory, wait_until
from infra.paths import INFRA, REPO
from infra.provision import environment
from infra.services import SERVICES
from tests.stack import free_offset

Settings = dict[str, str]


def native(env_file: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_module("infra.native", env_file, *arguments, **env)


def run_module(
    module: str, env_file: Path, *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPO,
        env={**os.environ, "ENV_FILE": str(env_file), "COLUMNS": "200", **env},
        text=True,
        capture_output=True,
        check=False,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def small_stack(tmp_path: Path) -> Iterator[Path]:
    """The env file of a stack of its own, whose PostgreSQL may be restarted."""
    env_file = tmp_path / ".env"
    ensure_env(env_file, state=str(tmp_path / "state"), port_offset=free_offset())
    yield env_file
    native(env_file, "down")


def supervisor_of(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.setenv("ENV_FILE", str(env_file))
    return Supervisor(environment())


@pytest.fixture(scope="module", autouse=True)
def flink(stack: Settings) -> None:
    """What the tests' stack starts only where a test asks for it."""
    started = native(Path(os.environ["ENV_FILE"]), "up", "flink")
    assert started.returncode == 0, started.stderr


def test_all_services_are_healthy_and_set_up(stack: Settings) -> None:
    env = environment()
    for service in SERVICES:
        if not service.by_name:
            # As `make up` does: one attempt has short timeouts, since it is repeated.
            wait_until(partial(service.healthy, env), service.name)
            assert service.is_set_up(env), service.name


def test_a_second_up_changes_nothing(stack: Settings) -> None:
    env = environment()
    supervisor = Supervisor(env)
    processes = [process for service in SERVICES for process in service.processes(env)]
    assert {"consumer:consumer-1", "consumer:consumer-2", "connect"} <= set(processes)
    before = {process: supervisor.info(process)["pid"] for process in processes}
    again = native(Path(os.environ["ENV_FILE"]), "up")
    assert again.returncode == 0, again.stderr
    assert {process: supervisor.info(process)["pid"] for process in processes} == before


def test_all_listen_on_loopback_only(stack: Settings) -> None:
    process = Supervisor(environment()).process()
    assert process
    family = {p.pid for p in [process, *process.children(recursive=True)]}
    connections = psutil.net_connections("inet")
    bound = {c.laddr for c in connections if c.pid in family and c.status == psutil.CONN_LISTEN}
    wanted = {port for s in SERVICES if not s.by_name for port in s.listens(stack)}
    assert wanted <= {address.port for address in bound}
    addresses = {ip_address(address.ip.removeprefix("::ffff:")) for address in bound}
    assert [address for address in addresses if not address.is_loopback] == []


def test_needs_the_memory_that_the_readme_asks_for(stack: Settings) -> None:
    """At its highest, for other tests worked it before; while no task of Airflow runs.

    The JVMs and MinIO give nothing back: freshly started, all take 3 GB.
    """
    env = environment()
    native(Path(os.environ["ENV_FILE"]), "up")
    subprocess.run([sys.executable, "-m", "infra.airflow", "pause"], cwd=REPO, check=True)
    supervisor = Supervisor(env)
    lake = [service for service in SERVICES if not service.by_name and service.name != "airflow"]
    [airflow] = [service for service in SERVICES if service.name == "airflow"]
    by_process = {
        name: tree_memory(supervisor.info(name)["pid"])
        for service in [*lake, airflow]
        for name in service.processes(env)
    }
    assert all(by_process.values()), by_process
    of_airflow = sum(by_process[name] for name in airflow.processes(env))
    assert of_airflow < 1.3 * 2**30, by_process
    assert by_process["mlflow"] < 400 * 2**20, by_process
    assert sum(by_process[f"flink-{part}"] for part in ("jobmanager", "taskmanager")) < 1.3e9
    assert sum(by_process.values()) < 7e9, by_process


def test_a_held_port_is_named_with_its_holder(small_stack: Path) -> None:
    port = int(environment_value(small_stack, "POSTGRES_PORT"))
    with socket.create_server(("127.0.0.1", port)):
        done = native(small_stack, "up", "postgres")
    assert done.returncode == 1
    assert f"port {port}, which postgres needs, is held by process {os.getpid()}" in done.stderr
    assert "POSTGRES_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def environment_value(env_file: Path, key: str) -> str:
    lines = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
    return lines[key]


def test_outlives_its_shell_and_leaves_nothing(
    small_stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    process = supervisor_of(small_stack, monkeypatch).process()
    assert process
    assert os.getsid(process.pid) == process.pid  # a session of its own: no shell takes it along
    family = [process, *process.children(recursive=True)]
    assert len(family) > 2
    # Also from the settings of an older version, which lack some.
    lines = small_stack.read_text().splitlines(keepends=True)
    small_stack.write_text("".join(one for one in lines if not one.startswith("FEAST_UI_PORT=")))
    assert native(small_stack, "down").returncode == 0
    assert [p for p in family if p.is_running()] == []
    assert native(small_stack, "down").returncode == 0  # a second one is harmless


def test_daemons_that_outlived_their_supervisor_are_found(
    small_stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    supervisor = supervisor_of(small_stack, monkeypatch)
    for then in (["up", "postgres"], ["down"]):
        process = supervisor.process()
        assert process
        process.kill()
        wait_for(lambda: supervisor.process() is None)
        orphans = supervisor.process_tree()
        assert orphans
        done = native(small_stack, *then)
        assert done.returncode == 0, done.stderr
        assert [orphan for orphan in orphans if orphan.is_running()] == []
    assert supervisor.process_tree() == []


def test_changed_settings_are_not_mixed_with_running_services(small_stack: Path) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    password = environment_value(small_stack, "METASTORE_DB_PASSWORD")
    small_stack.write_text(small_stack.read_text().replace(password, "another"))
    done = native(small_stack, "up", "postgres")
    assert done.returncode == 1
    assert "older settings" in done.stderr
    assert "make down up" in done.stderr
    assert native(small_stack, "down").returncode == 0
    assert native(small_stack, "up", "postgres").returncode == 0


def test_a_service_is_left_out_or_started_while_the_lake_runs(small_stack: Path) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    for name in ("airflow", "mlflow"):
        for choice in ("0", "1"):
            assert run_module("infra", small_stack, "env", f"--{name}={choice}").returncode == 0
            assert environment_value(small_stack, name.upper()) == choice
            done = native(small_stack, "up", "postgres")
            assert done.returncode == 0, done.stderr


def test_two_ups_at_once_start_one_stack(
    small_stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "infra.native", "up", "postgres"]
    env = {**os.environ, "ENV_FILE": str(small_stack)}
    both = [subprocess.Popen(command, cwd=REPO, env=env) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    family = supervisor_of(small_stack, monkeypatch).process_tree()
    assert len([p for p in family if "supervisord" in " ".join(p.cmdline()[:2])]) == 1


def test_down_and_up_keep_the_data(small_stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def query(sql: str) -> None:
        env = environment()
        with psycopg2.connect(
            host=env["POSTGRES_HOST"],
            port=env["POSTGRES_PORT"],
            dbname=env["SOURCE_DB"],
            user=env["SOURCE_OWNER_USER"],
            password=env["SOURCE_OWNER_PASSWORD"],
        ) as connection:
            connection.cursor().execute(sql)

    monkeypatch.setenv("ENV_FILE", str(small_stack))
    assert native(small_stack, "up", "postgres").returncode == 0
    query("create table kept (id int)")
    assert native(small_stack, "down").returncode == 0
    assert native(small_stack, "up", "postgres").returncode == 0
    query("insert into kept values (1)")


def test_a_killed_daemon_comes_back(small_stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    supervisor = supervisor_of(small_stack, monkeypatch)
    [postgres] = [service for service in SERVICES if service.name == "postgres"]
    pid = supervisor.info("postgres")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: supervisor.info("postgres")["pid"] not in (0, pid))
    wait_for(lambda: postgres.healthy(environment()))


def test_the_error_of_a_daemon_that_cannot_start_has_its_log(small_stack: Path) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    assert native(small_stack, "down").returncode == 0
    (small_stack.parent / "state/postgres/PG_VERSION").write_text("9.6\n")
    done = native(small_stack, "up", "postgres")
    assert done.returncode == 1
    assert "postgres does not start" in done.stderr
    assert "make logs SERVICE=postgres" in done.stderr


def test_clean_asks_before_it_deletes(small_stack: Path) -> None:
    assert native(small_stack, "up", "postgres").returncode == 0
    refused = subprocess.run(
        [sys.executable, "-m", "infra.native", "clean"],
        cwd=REPO,
        env={**os.environ, "ENV_FILE": str(small_stack)},
        input="n\n",
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert (small_stack.parent / "state/postgres").exists()
    assert native(small_stack, "clean", "--yes").returncode == 0
    assert not (small_stack.parent / "state").exists()
    assert not small_stack.exists()


# It kills itself once a part of the file is there.
KILLED_IN_DOWNLOAD = """
import os, signal
from infra import maven
context = maven.context
maven.context = lambda folder, progress=None: context(
    folder, lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
)
from infra.provision import provision
provision(["trino-cli"])
"""


def test_an_interrupted_download_starts_clean(tmp_path: Path) -> None:
    """Killed in the middle of a download, then run to its end: whole."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_DOWNLOAD],
        cwd=REPO,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    [partial] = (tmp_path / "loan-lakehouse").glob("*.partial")
    done = run_module(
        "infra", tmp_path / ".env", "provision", "trino-cli", XDG_CACHE_HOME=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert not partial.exists()
    cache = tmp_path / "loan-lakehouse"
    [folder] = [f for f in cache.iterdir() if f.is_dir()]
    [file] = folder.iterdir()
    [sha256] = locked("trino-cli").values()
    assert digest(file) == sha256


def test_a_file_that_differs_from_the_lock_is_refused(tmp_path: Path) -> None:
    small = Artifact("org.slf4j", "slf4j-api", "1.7.36")
    with pytest.raises(LakehouseError, match=r"is not what infra/locks/maven\.txt says"):
        fetch(small, "0" * 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_had_gets_one_line(tmp_path: Path) -> None:
    absent = Artifact("org.slf4j", "slf4j-api", "0.0.0-none")
    with pytest.raises(LakehouseError, match=r"could not download org.slf4j:slf4j-api:0.0.0-none"):
        fetch(absent, "0" * 64, tmp_path)


ALLOWED = {
    ("INGESTION", "BRONZE"): {"list", "put"},
    ("TRINO", "BRONZE"): {"list"},
    ("TRINO", "SILVER"): {"list", "put", "delete"},
    ("TRINO", "GOLD"): {"list", "put", "delete"},
    ("TRINO", "EXCHANGE"): {"list", "put", "delete"},
    ("HIVE", "BRONZE"): {"list"},
    ("HIVE", "SILVER"): {"list", "put", "delete"},
    ("HIVE", "GOLD"): {"list", "put", "delete"},
}


@pytest.mark.parametrize("user", ["INGESTION", "TRINO", "HIVE"])
@pytest.mark.parametrize("layer", ["BRONZE", "SILVER", "GOLD", "EXCHANGE"])
def test_each_minio_user_may_do_its_work_and_no_more(
    stack: Settings, user: str, layer: str
) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=stack["S3_ENDPOINT"],
        region_name=stack["S3_REGION"],
        aws_access_key_id=stack[f"{user}_S3_ACCESS_KEY"],
        aws_secret_access_key=stack[f"{user}_S3_SECRET_KEY"],
    )
    bucket = stack[f"{layer}_BUCKET"]
    actions: dict[str, Callable[[], object]] = {
        "list": lambda: s3.list_objects_v2(Bucket=bucket, MaxKeys=1),
        "put": lambda: s3.put_object(Bucket=bucket, Key="_probe", Body=b""),
        "delete": lambda: s3.delete_object(Bucket=bucket, Key="_probe"),
    }
    done = set()
    for name, act in actions.items():
        try:
            act()
            done.add(name)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
    assert done == ALLOWED.get((user, layer), set())


@pytest.mark.parametrize(
    "user", ["SOURCE_READER", "SOURCE_ANALYST", "SOURCE_CAPTURE", "METASTORE_DB", "FEAST_DB"]
)
@pytest.mark.parametrize("database", ["SOURCE_DB", "METASTORE_DB", "FEAST_DB"])
def test_each_postgres_user_enters_its_own_database(
    stack: Settings, user: str, database: str
) -> None:
    own = "SOURCE_DB" if user.startswith("SOURCE_") else user

    def connect() -> None:
        psycopg2.connect(
            host=stack["POSTGRES_HOST"],
            port=stack["POSTGRES_PORT"],
            dbname=stack[database],
            user=stack[f"{user}_USER"],
            password=stack[f"{user}_PASSWORD"],
        ).close()

    if database == own:
        connect()
    else:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            connect()


def test_debezium_s_user_reads_the_log_and_no_table(stack: Settings) -> None:
    with psycopg2.connect(
        host=stack["POSTGRES_HOST"],
        port=stack["POSTGRES_PORT"],
        dbname=stack["SOURCE_DB"],
        user=stack["SOURCE_CAPTURE_USER"],
        password=stack["SOURCE_CAPTURE_PASSWORD"],
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("select count(*) from debezium.heartbeat")
        assert cursor.fetchall() == [(1,)]
        cursor.execute(
            "select has_table_privilege(c.oid, 'select'), has_schema_privilege('public', 'create')"
            " from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
            " where n.nspname = 'public' and c.relkind = 'r'"
        )
        assert {right for row in cursor.fetchall() for right in row} <= {False}


def test_a_changed_connector_configuration_is_applied(
    stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that registers it, which is `make up`'s; the same again changes nothing."""
    env = environment()
    url = f"http://{env['CONNECT_HOST']}:{env['CONNECT_PORT']}/connectors/source"

    def poll_interval() -> str:
        answers: list[requests.Response] = []

        def is_answered() -> bool:
            answers.append(requests.get(f"{url}/config", timeout=10))
            return answers[-1].status_code != CONFLICT

        wait_for(is_answered)  # 409: the workers rebalance, and Connect answers in a moment
        return str(answers[-1].json()["poll.interval.ms"])

    bootstrap.register_connector(env)
    before = poll_interval()
    text = (INFRA / "debezium/source.json").read_text()
    changed = tmp_path / "debezium/source.json"
    changed.parent.mkdir()
    changed.write_text(text.replace(f'"poll.interval.ms": "{before}"', '"poll.interval.ms": "77"'))
    monkeypatch.setattr(bootstrap, "INFRA", tmp_path)
    bootstrap.register_connector(env)
    assert poll_interval() == "77"
    changed.write_text("{}")
    with pytest.raises(LakehouseError, match=r"Connect refuses infra/debezium/source\.json"):
        bootstrap.register_connector(env)
    monkeypatch.undo()
    bootstrap.register_connector(env)
    assert poll_interval() == before
