"""What Airflow needs before and after it starts: tables, a login, dbt's graph, pools."""

import json
import os
import sys
from pathlib import Path

from infra.env import Env
from infra.paths import INFRA, LOCKS, REPO
from infra.process import run

AIRFLOW = REPO / "airflow"

DBT_HINT = "correct dbt_project/: `cd dbt_project && dbt parse` shows all of it"
POSTGRES_HINT = "`make logs SERVICE=postgres` shows the database's side"


def prepare(env: Env) -> None:
    """Migrate the metadata database; update the login and dbt's manifest."""
    home = Path(env["LAKEHOUSE_STATE"], "airflow")
    home.mkdir(exist_ok=True, mode=0o700)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({env["AIRFLOW_ADMIN_USER"]: env["AIRFLOW_ADMIN_PASSWORD"]}))
    # Asking Airflow itself whether its tables fit would take as long as making them.
    migrated, wanted = home / "migrated-by.txt", (LOCKS / "airflow.txt").read_text()
    if not migrated.exists() or migrated.read_text() != wanted:
        run([f"{INFRA}/native/bin/airflow", "db", "migrate"], POSTGRES_HINT, {**os.environ, **env})
        migrated.write_text(wanted)
    make_graph = [sys.executable, "-m", "include.dbt_manifest"]
    run(make_graph, DBT_HINT, {**os.environ, **env}, cwd=AIRFLOW)


def set_up(env: Env) -> None:
    # Only here: its client takes half a second to import, which all commands would pay.
    from infra.airflow.client import Airflow  # noqa: PLC0415

    airflow = Airflow(env)
    for name, pool in json.loads((AIRFLOW / "include/pools.json").read_text()).items():
        airflow.ensure_pool(name, pool)
