"""A lakehouse on the oldest PostgreSQL, which takes TLS only, with passwords of all kinds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import trustme
from dotenv import dotenv_values, set_key

from infra.env import EXAMPLE, env_file
from infra.paths import REPO
from infra.provision import environment
from ingestion.postgres import OLDEST_SERVER
from tests.older_postgres import programs
from tests.stack import ingest, own_stack, query_trino

pytestmark = pytest.mark.slow

# What a URL, YAML, a shell, a .properties file, Supervisor and Python's templates would take
# for something else.
PASSWORD = r"""p@s:w/o#r?d%41 ' " \ $HOME & {x} = +"""

SERVICES = ("trino", "connect", "consumer", "airflow")

ONLY_TLS = """
hostssl all all 127.0.0.1/32 scram-sha-256
local   all all              scram-sha-256
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("pg")
    certificate = make_certificate(folder)
    before = os.environ.get("POSTGRES_BIN", "")
    os.environ["POSTGRES_BIN"] = str(make_programs(folder, environment()["POSTGRES_BIN"]))

    def prepare() -> None:
        for name, value in dotenv_values(EXAMPLE).items():
            if value == "GENERATE" and name.endswith(("_PASSWORD", "_SECRET_KEY")):
                set_key(env_file(), name, f"{PASSWORD} {name[:4]}", quote_mode="always")
        set_key(env_file(), "PGSSLMODE", "verify-full", quote_mode="never")
        set_key(env_file(), "PGSSLROOTCERT", str(certificate), quote_mode="always")

    with own_stack(".lakehouse-strict", prepare=prepare, services=SERVICES) as settings:
        yield settings
    os.environ["POSTGRES_BIN"] = before


def make_certificate(folder: Path) -> Path:
    """The server's key and certificate; the file of the root certificate."""
    root = trustme.CA()
    server = root.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.key").chmod(0o600)
    server.cert_chain_pems[0].write_to_path(str(folder / "server.crt"))
    root.cert_pem.write_to_path(str(folder / "root.crt"))
    return folder / "root.crt"


def make_programs(folder: Path, ours: str) -> Path:
    """The server's programs of the old version; of ours, those that set it up.

    Those speak no TLS: they use a socket, which only this test's server has.
    """
    (folder / "hba.conf").write_text(ONLY_TLS)
    server = programs(OLDEST_SERVER)
    options = {
        "ssl": "on",
        "ssl_cert_file": folder / "server.crt",
        "ssl_key_file": folder / "server.key",
        "hba_file": folder / "hba.conf",
        "unix_socket_directories": folder,
    }
    given = " ".join(f"-c '{name}={value}'" for name, value in options.items())
    scripts = {
        "initdb": f"exec '{server}/initdb' \"$@\"",
        "postgres": f"exec '{server}/postgres' \"$@\" {given}",
        "psql": f"exec '{ours}/psql' \"$@\" -h '{folder}'",
        "pg_isready": f"exec '{ours}/pg_isready' \"$@\" -h '{folder}'",
    }
    (folder / "bin").mkdir()
    for name, command in scripts.items():
        script = folder / "bin" / name
        script.write_text(f"#!/bin/sh\nPGSSLMODE=disable; export PGSSLMODE\n{command}\n")
        script.chmod(0o755)
    return folder / "bin"


def run(*command: str, cwd: Path = REPO) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_row_goes_from_the_source_to_the_online_store(strict: dict[str, str]) -> None:
    """Loaders, Debezium, metastore, Trino's catalog and Feast, each by its own client."""
    ingest("source", "generate", "--rows", "300")
    ingest("stream", "capture")
    ingest("batch")
    ingest("source", "simulate", "--rate", "50", "--for", "2s")
    ingest("stream", "wait")
    ingest("bronze-tables")
    run("dbt", "build", cwd=REPO / "dbt_project")
    run("feast", "apply", cwd=REPO / "feast_repo")
    run(sys.executable, "-O", "-m", "feast_repo.materialize")
    assert "equal" in ingest("reconcile")
    [[shown]] = query_trino(strict, "select count(*) from source.public.loan_applications")
    assert shown >= 300


def test_nothing_connects_without_tls(strict: dict[str, str]) -> None:
    """Airflow runs, too: its services are healthy only with their database."""
    with (
        closing(
            psycopg2.connect(
                host=strict["POSTGRES_HOST"],
                port=strict["POSTGRES_PORT"],
                user=strict["POSTGRES_ADMIN_USER"],
                password=strict["POSTGRES_ADMIN_PASSWORD"],
                dbname="postgres",
            )
        ) as admin,
        admin.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT a.usename, s.ssl FROM pg_stat_activity AS a JOIN pg_stat_ssl AS s USING (pid)"
            " WHERE a.client_addr IS NOT NULL"
        )
        found = cursor.fetchall()
    assert {user for user, _ in found} >= {
        strict["METASTORE_DB_USER"],
        strict["SOURCE_CAPTURE_USER"],
        strict["AIRFLOW_DB_USER"],
    }
    assert [user for user, is_encrypted in found if not is_encrypted] == []
