"""What Airflow needs before and after it starts: tables, a login, dbt's manifest, a pool."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from infra.airflow import TRINO_POOL, manifest
from infra.airflow.client import Airflow
from infra.paths import INFRA, LOCKS
from infra.process import run

Settings = Mapping[str, str]

THEN = "`make logs SERVICE=postgres` shows the database's side"


def prepare(env: Settings) -> None:
    """Bring the metadata tables to Airflow's version, the login and the manifest to date."""
    home = Path(env["LAKEHOUSE_STATE"], "airflow")
    home.mkdir(exist_ok=True, mode=0o700)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({env["AIRFLOW_ADMIN_USER"]: env["AIRFLOW_ADMIN_PASSWORD"]}))
    # Asking Airflow itself whether its tables fit would take as long as making them.
    migrated, wanted = home / "migrated-by.txt", (LOCKS / "airflow.txt").read_text()
    if not migrated.exists() or migrated.read_text() != wanted:
        run([f"{INFRA}/native/bin/airflow", "db", "migrate"], THEN, {**os.environ, **env})
        migrated.write_text(wanted)
    manifest.refresh({**os.environ, **env})


def set_up(env: Settings) -> None:
    Airflow(env).ensure_pool(TRINO_POOL, slots=1, description="Who writes silver and gold.")
