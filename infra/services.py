"""What each service needs before it starts, when it is healthy, where it answers."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import requests
import trino
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from infra import bootstrap
from infra.airflow import bootstrap as airflow
from infra.env import Env
from infra.errors import LakehouseError
from infra.paths import INFRA, REPO


@dataclass(frozen=True)
class Service:
    """One service: supervisor's configuration, `make status` and a check of docker-compose.yml
    follow from it.

    prepare runs before it starts (its data folder), setup once it is healthy
    (users, buckets, schemas). Both may run again at any time.
    """

    name: str
    ports: tuple[str, ...]
    healthy: Callable[[Env], bool]
    where: str
    # The login that `make status` prints.
    login: str = ""
    needs: tuple[str, ...] = ()
    # The programs that it or its set-up runs, by their names in provision.py.
    runs: tuple[str, ...] = ()
    prepare: Callable[[Env], None] = lambda _: None
    setup: Callable[[Env], None] = lambda _: None
    setup_needs: tuple[str, ...] = ()
    # Whether `setup` has been done, as what needs the service sees it.
    is_set_up: Callable[[Env], bool] = lambda _: True
    # The setting that says how many equal processes there are, or the names of its
    # parts; without either, it is one process.
    count: str = ""
    parts: tuple[str, ...] = ()
    # The signal that stops it, and after how many seconds it is killed.
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    # The command of ours, after `python -m`, that says how its work is: `make status` runs it.
    report: tuple[str, ...] = ()
    # Only started by its name: it takes memory, and most users do not need it.
    by_name: bool = False

    @property
    def programs(self) -> list[str]:
        """Its programs, without their number, the same in both runtimes."""
        return [f"{self.name}-{part}" for part in self.parts] or [self.name]

    def listens(self, env: Env) -> dict[int, str]:
        """The ports of all its processes, each with the setting that says it."""
        number = len(self.processes(env)) if self.count else 1
        return {int(env[port]) + n: port for port in self.ports for n in range(number)}

    def processes(self, env: Env) -> list[str]:
        """Its processes, as supervisor names them."""
        if self.count:
            numbers = range(1, int(env[self.count]) + 1)
            return [f"{self.name}:{self.name}-{number}" for number in numbers]
        return self.programs


def postgres_healthy(env: Env) -> bool:
    command = [f"{env['POSTGRES_BIN']}/pg_isready", "-q"]
    command += ["-h", env["POSTGRES_HOST"], "-p", env["POSTGRES_PORT"]]
    return subprocess.run(command, check=False).returncode == 0


def minio_healthy(env: Env) -> bool:
    return get(f"{env['S3_ENDPOINT']}/minio/health/ready") is not None


def hive_healthy(env: Env) -> bool:
    """The metastore opens its port only when it is ready."""
    try:
        socket.create_connection((env["METASTORE_HOST"], int(env["METASTORE_PORT"])), 1).close()
    except OSError:
        return False
    return True


def trino_healthy(env: Env) -> bool:
    answer = get(f"http://{env['TRINO_HOST']}:{env['TRINO_PORT']}/v1/info")
    return answer is not None and not answer.json()["starting"]


def trino_workers_healthy(env: Env) -> bool:
    """The coordinator knows all workers."""
    if not (wanted := int(env["TRINO_WORKERS"])):
        return True  # the default: skip the query
    host, port = env["TRINO_HOST"], int(env["TRINO_PORT"])
    sql = "select count(*) from system.runtime.nodes where not coordinator and state = 'active'"
    with (
        suppress(trino.exceptions.Error),
        trino.dbapi.connect(host, port, user="setup", max_attempts=1) as connection,
    ):
        [[known]] = connection.cursor().execute(sql).fetchall()
        return bool(known >= wanted)
    return False


def kafka_healthy(env: Env) -> bool:
    """The broker opens its port early; it answers requests when it is ready."""
    with suppress(KafkaError), admin(env) as kafka:
        kafka.list_topics()
        return True
    return False


def connect_healthy(env: Env) -> bool:
    return get(f"http://{env['CONNECT_HOST']}:{env['CONNECT_PORT']}/connectors") is not None


def consumers_healthy(env: Env) -> bool:
    """Each consumer is a member of the group."""
    with suppress(KafkaError), admin(env) as kafka:
        group = kafka.describe_groups([env["STREAM_GROUP"]])[env["STREAM_GROUP"]]
        return bool(group["group_state"] == "Stable") and len(group["members"]) >= int(
            env["STREAM_CONSUMERS"]
        )
    return False


def features_healthy(env: Env) -> bool:
    address = f"http://{env['FEATURE_SERVER_HOST']}:{env['FEATURE_SERVER_PORT']}"
    return get(f"{address}/health") is not None


def scoring_healthy(env: Env) -> bool:
    return get(f"http://{env['SCORING_HOST']}:{env['SCORING_PORT']}/health") is not None


def mlflow_healthy(env: Env) -> bool:
    return get(f"http://{env['MLFLOW_HOST']}:{env['MLFLOW_PORT']}/health") is not None


def flink_healthy(env: Env) -> bool:
    """Its job runs: one that waits for a task manager, or fails repeatedly, does not."""
    command = [str(INFRA / "docker/healthy"), "flink", env["FLINK_PORT"], env["FLINK_HOST"]]
    with suppress(subprocess.TimeoutExpired):
        # The same check as in a container, which has no time to start Python for it.
        done = subprocess.run(command, check=False, capture_output=True, timeout=5)
        return done.returncode == 0
    return False


def airflow_healthy(env: Env) -> bool:
    answer = get(f"http://{env['AIRFLOW_HOST']}:{env['AIRFLOW_PORT']}/api/v2/monitor/health")
    return answer is not None and all(
        part["status"] == "healthy" for part in answer.json().values()
    )


@contextmanager
def admin(env: Env) -> Iterator[KafkaAdminClient]:
    """A client with short timeouts: health checks are repeated."""
    client = KafkaAdminClient(
        bootstrap_servers=f"{env['KAFKA_HOST']}:{env['KAFKA_PORT']}",
        request_timeout_ms=3000,
        bootstrap_timeout_ms=1000,
    )
    with closing(client):
        yield client


def get(url: str) -> requests.Response | None:
    try:
        answer = requests.get(url, timeout=2)
    except requests.RequestException:
        return None
    return answer if answer.ok else None


# In the order in which they are listed; `needs` decides when each one starts.
SERVICES = [
    Service(
        name="postgres",
        runs=("hive",),  # whose script makes the metastore's tables
        ports=("POSTGRES_PORT",),
        healthy=postgres_healthy,
        where="postgresql://{POSTGRES_HOST}:{POSTGRES_PORT}/{SOURCE_DB}",
        prepare=bootstrap.init_database_cluster,
        stop_signal="INT",  # PostgreSQL's fast shutdown: it disconnects clients and stops cleanly
        stop_seconds=60,
        setup=bootstrap.create_databases,
        is_set_up=bootstrap.has_databases,
    ),
    Service(
        name="minio",
        runs=("minio",),
        ports=("MINIO_PORT", "MINIO_CONSOLE_PORT"),
        healthy=minio_healthy,
        where="http://{MINIO_HOST}:{MINIO_CONSOLE_PORT}",
        setup=bootstrap.create_buckets,
        is_set_up=bootstrap.has_buckets,
    ),
    Service(
        name="hive",
        runs=("hive",),
        ports=("METASTORE_PORT",),
        healthy=hive_healthy,
        where="thrift://{METASTORE_HOST}:{METASTORE_PORT}",
        needs=("postgres", "minio"),
    ),
    # Trino looks for the metastore only when a query needs it, so that both can start at once.
    Service(
        name="trino",
        runs=("trino",),
        ports=("TRINO_PORT",),
        healthy=trino_healthy,
        where="http://{TRINO_HOST}:{TRINO_PORT}",
        setup=bootstrap.create_schemas,
        setup_needs=("hive",),
    ),
    Service(
        name="trino-worker",
        runs=("trino",),
        ports=("TRINO_WORKER_PORT",),
        healthy=trino_workers_healthy,
        where="at work for {TRINO_HOST}:{TRINO_PORT}",
        needs=("trino",),
        count="TRINO_WORKERS",
    ),
    Service(
        name="kafka",
        runs=("kafka",),
        ports=("KAFKA_PORT", "KAFKA_CONTROLLER_PORT"),
        healthy=kafka_healthy,
        where="{KAFKA_HOST}:{KAFKA_PORT}",
        prepare=bootstrap.format_kafka,
        stop_seconds=60,
    ),
    Service(
        name="connect",
        runs=("kafka", "debezium"),
        ports=("CONNECT_PORT",),
        healthy=connect_healthy,
        where="http://{CONNECT_HOST}:{CONNECT_PORT}",
        needs=("postgres", "kafka"),
        setup=bootstrap.register_connector,
    ),
    Service(
        name="consumer",
        ports=(),
        healthy=consumers_healthy,
        where="{STREAM_TOPIC_PREFIX}.* -> s3://{BRONZE_BUCKET}/cdc/",
        needs=("minio", "kafka"),
        count="STREAM_CONSUMERS",  # one process a partition
        stop_seconds=30,  # each lands what it holds
    ),
    # After the consumers, which make the topics.
    Service(
        name="flink",
        runs=("flink",),
        ports=(
            "FLINK_PORT",
            "FLINK_RPC_PORT",
            "FLINK_BLOB_PORT",
            "FLINK_METRICS_PORT",
            "FLINK_TASK_RPC_PORT",
            "FLINK_TASK_DATA_PORT",
            "FLINK_TASK_METRICS_PORT",
        ),
        healthy=flink_healthy,
        where="http://{FLINK_HOST}:{FLINK_PORT}",
        needs=("postgres", "minio", "kafka", "consumer"),
        parts=("jobmanager", "taskmanager"),
        stop_seconds=30,
        report=("streaming", "status"),
    ),
    Service(
        name="mlflow",
        runs=("mlflow",),
        ports=("MLFLOW_PORT",),
        healthy=mlflow_healthy,
        where="http://{MLFLOW_HOST}:{MLFLOW_PORT}",
        login="  ({MLFLOW_ADMIN_USER} / {MLFLOW_ADMIN_PASSWORD})",
        needs=("postgres", "minio"),
    ),
    Service(
        name="airflow",
        runs=("airflow",),
        ports=("AIRFLOW_PORT",),
        healthy=airflow_healthy,
        where="http://{AIRFLOW_HOST}:{AIRFLOW_PORT}",
        login="  ({AIRFLOW_ADMIN_USER} / {AIRFLOW_ADMIN_PASSWORD})",
        needs=("postgres",),
        prepare=airflow.prepare,
        setup=airflow.set_up,
        parts=("api-server", "scheduler", "dag-processor", "triggerer"),
        stop_seconds=60,  # a task that is killed would have to run again
    ),
    Service(
        name="features",
        ports=("FEATURE_SERVER_PORT",),
        healthy=features_healthy,
        where="http://{FEATURE_SERVER_HOST}:{FEATURE_SERVER_PORT}",
        needs=("postgres",),
        prepare=bootstrap.make_metrics_folder,
        by_name=True,
    ),
    # Healthy without a champion: it decides once there is one, and /ready says so.
    Service(
        name="scoring",
        ports=("SCORING_PORT",),
        healthy=scoring_healthy,
        where="http://{SCORING_HOST}:{SCORING_PORT}",
        needs=("postgres", "mlflow"),
        by_name=True,
    ),
]


def find_service(name: str) -> Service:
    [found] = [service for service in SERVICES if service.name == name]
    return found


def choose_services(names: list[str] | None, without: list[str] | None = None) -> list[Service]:
    """The named services (default: all) except `without`, and the services that they need."""
    known = {service.name: service for service in SERVICES}
    if unknown := {*(names or []), *(without or [])} - known.keys():
        raise LakehouseError(
            f"there is no service {', '.join(sorted(unknown))}", f"there are {', '.join(known)}"
        )
    usual = [name for name, service in known.items() if not service.by_name]
    chosen = set(names or usual) - set(without or [])
    for service in reversed(SERVICES):  # each is listed after those that it needs
        if service.name in chosen:
            chosen |= {*service.needs, *service.setup_needs}
    return [service for service in SERVICES if service.name in chosen]


def report_all(started: Iterable[Service]) -> bool:
    """Have each say how its work is, by its own command; whether all is as it must be."""
    commands = [[sys.executable, "-m", *service.report] for service in started if service.report]
    codes = [subprocess.run(command, cwd=REPO, check=False).returncode for command in commands]
    return not any(codes)
