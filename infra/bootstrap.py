"""What the set-up makes inside the services: users, databases, buckets, schemas.

Everything here may run again at any time and changes nothing that is right.
"""

import base64
import json
import shutil
import tempfile
import uuid
from http.client import CONFLICT
from itertools import chain
from pathlib import Path
from string import Template

import requests
import sqlparse
import trino
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import MinioException
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.minioadmin import MinioAdmin
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from infra.env import Env
from infra.errors import LakehouseError
from infra.paths import INFRA
from infra.process import run

INITDB_HINT = "check the disk; root needs user namespaces for it: else run as an ordinary user"
KAFKA_HINT = "check the disk; a half-made folder `kafka` in the state folder may be deleted"
PSQL_HINT = (
    "`make logs SERVICE=postgres` shows the server's side; a password that it refuses is not the"
    " one that the data was made with: put that one back into .env, or `make clean`"
)

# MinIO's users: the setting that names them, and their policies (infra/minio/policies/).
MINIO_USERS = {
    "INGESTION": ["ingestion"],
    "TRINO": ["lakehouse", "exchange"],
    "HIVE": ["lakehouse"],
    "FEAST": ["entities"],
    "MLFLOW": ["mlflow"],
    "FLINK": ["flink"],
}
BUCKETS = ("BRONZE", "SILVER", "GOLD", "EXCHANGE", "MLFLOW", "FLINK")
# The schema that fits metastore 4.0.1 is numbered 4.0.0.
METASTORE_SCHEMA = "scripts/metastore/upgrade/postgres/hive-schema-4.0.0.postgres.sql"


def init_database_cluster(env: Env) -> None:
    """Create PostgreSQL's data directory; replace an incomplete one."""
    data = Path(env["LAKEHOUSE_STATE"], "postgres")
    if data.exists():
        return
    partial = data.with_name("postgres.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w") as password:
        password.write(env["POSTGRES_ADMIN_PASSWORD"])
        password.flush()
        command = [f"{INFRA}/native/bin/postgres", "initdb", "--encoding=UTF8", "--locale=C"]
        command += ["--auth=scram-sha-256", f"--username={env['POSTGRES_ADMIN_USER']}"]
        run([*command, f"--pwfile={password.name}", f"--pgdata={partial}"], INITDB_HINT, env)
    partial.rename(data)


def create_databases(env: Env) -> None:
    """Users and databases, and the metastore's tables if it has none yet."""
    psql(
        env,
        env["POSTGRES_ADMIN_USER"],
        env["POSTGRES_ADMIN_PASSWORD"],
        "postgres",
        ["-f", str(INFRA / "postgres/roles.sql")],
    )
    if not has_metastore_tables(env):
        schema = f"{env['HIVE_HOME']}/{METASTORE_SCHEMA}"
        psql_in_metastore(env, ["--single-transaction", "-f", schema])


def has_databases(env: Env) -> bool:
    """Whether create_databases has come to its end: the metastore's tables are its last step."""
    try:
        return has_metastore_tables(env)
    except LakehouseError:  # there is no such user yet, or no database
        return False


def has_metastore_tables(env: Env) -> bool:
    exists = "select to_regclass('\"VERSION\"') is not null"
    return psql_in_metastore(env, ["-Atc", exists]).strip() == "t"


def psql_in_metastore(env: Env, arguments: list[str]) -> str:
    user, password = env["METASTORE_DB_USER"], env["METASTORE_DB_PASSWORD"]
    return psql(env, user, password, env["METASTORE_DB"], arguments)


def format_kafka(env: Env) -> None:
    """Make the broker's data folder, under a cluster id of its own."""
    if Path(env["LAKEHOUSE_STATE"], "kafka/meta.properties").exists():
        return
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [f"{INFRA}/native/bin/kafka", "128m", "kafka.tools.StorageTool", "format"]
    # An id may begin with a dash: as an argument of its own it would be an option.
    command += ["--ignore-formatted", f"--cluster-id={cluster_id}"]
    run([*command, "--config", f"{INFRA}/kafka/kraft.properties"], KAFKA_HINT, env)


def register_connector(env: Env) -> None:
    """Register Debezium's connector (infra/debezium/source.json) at Connect.

    The same configuration again changes nothing, another one replaces it.
    """
    url = f"http://{env['CONNECT_HOST']}:{env['CONNECT_PORT']}/connectors/source/config"
    config = json.loads((INFRA / "debezium/source.json").read_text())
    # 409 Conflict: the workers rebalance, and Connect takes requests again in a moment.
    retry = Retry(
        8,
        status_forcelist={CONFLICT},
        allowed_methods={"PUT"},
        backoff_factor=0.2,
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        answer = session.put(url, json=config, timeout=60)
    if not answer.ok:
        raise LakehouseError(
            f"Connect refuses infra/debezium/source.json: {answer.text}", "correct it"
        )


def create_buckets(env: Env) -> None:
    """The buckets, and a user with policies for each that uses them."""
    endpoint = f"{env['MINIO_HOST']}:{env['MINIO_PORT']}"
    root = StaticProvider(env["MINIO_ROOT_USER"], env["MINIO_ROOT_PASSWORD"])
    client = Minio(endpoint, credentials=root, secure=False, region=env["S3_REGION"])
    for bucket in (env[f"{use}_BUCKET"] for use in BUCKETS):
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
    # What a Trino, or a client of Feast's, that was killed could not delete any more.
    for use, prefix in (("EXCHANGE", ""), ("GOLD", "_feast_entities/")):
        old = Rule(ENABLED, rule_filter=Filter(prefix=prefix), expiration=Expiration(days=1))
        client.set_bucket_lifecycle(env[f"{use}_BUCKET"], LifecycleConfig([old]))
    admin = MinioAdmin(endpoint=endpoint, credentials=root, secure=False)
    for policy in sorted(set(chain(*MINIO_USERS.values()))):
        text = Template((INFRA / f"minio/policies/{policy}.json").read_text()).substitute(env)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            admin.policy_add(policy, file.name)
    for user, policies in MINIO_USERS.items():
        access_key = env[f"{user}_S3_ACCESS_KEY"]
        admin.user_add(access_key, env[f"{user}_S3_SECRET_KEY"])
        has = json.loads(admin.user_info(access_key)).get("policyName", "").split(",")
        if missing := [policy for policy in policies if policy not in has]:
            admin.attach_policy(missing, access_key)


def has_buckets(env: Env) -> bool:
    """Whether create_buckets has come to its end: its last user sees the bucket of its policy."""
    *_, last = MINIO_USERS
    user = StaticProvider(env[f"{last}_S3_ACCESS_KEY"], env[f"{last}_S3_SECRET_KEY"])
    endpoint = f"{env['MINIO_HOST']}:{env['MINIO_PORT']}"
    once = PoolManager(retries=False, timeout=5)  # who waits asks again
    client = Minio(
        endpoint, credentials=user, secure=False, region=env["S3_REGION"], http_client=once
    )
    try:
        return bool(client.bucket_exists(env[f"{last}_BUCKET"]))
    except (MinioException, HTTPError):
        return False


def create_schemas(env: Env) -> None:
    """The layers' schemas (infra/trino/schemas.sql)."""
    text = Template((INFRA / "trino/schemas.sql").read_text()).substitute(env)
    statements = sqlparse.split(sqlparse.format(text, strip_comments=True))
    with trino.dbapi.connect(env["TRINO_HOST"], int(env["TRINO_PORT"]), user="setup") as connection:
        for statement in statements:
            connection.cursor().execute(statement.rstrip(";")).fetchall()


def make_metrics_folder(env: Env) -> None:
    """Where the feature server counts: one file a process, which none of them deletes."""
    folder = Path(env["LAKEHOUSE_STATE"], "run/feature_metrics")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def psql(env: Env, user: str, password: str, database: str, arguments: list[str]) -> str:
    command = [f"{env['POSTGRES_BIN']}/psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"]
    command += ["-h", env["POSTGRES_HOST"], "-p", env["POSTGRES_PORT"], "-U", user, "-d", database]
    return run([*command, *arguments], PSQL_HINT, {**env, "PGPASSWORD": password})
