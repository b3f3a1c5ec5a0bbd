"""dbt's manifest, from which Airflow draws the graph: made when dbt's files changed.

Both sides use this: the set-up makes the manifest, `loan_etl.py` asks for it.
"""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.errors import LakehouseError
from infra.paths import REPO
from infra.process import run

PROJECT = REPO / "dbt_project"
TARGET = PROJECT / "target"
# Not target/ itself, where every dbt command writes one of its own.
FOLDER = TARGET / "airflow"
MADE_OF = FOLDER / "made-of.txt"
PARTS = ("models", "macros", "seeds", "tests")
THEN = "mend dbt_project/: `cd dbt_project && dbt parse` shows all of it"


def refresh(env: Mapping[str, str]) -> None:
    """Make the manifest, unless it is that of the files as they are.

    dbt parses into its own target/: the first command after this one, by hand or by
    Cosmos, starts from there and parses only what has changed.
    """
    if is_current():
        return
    found = fingerprint()  # before dbt reads them: what changes meanwhile counts as new
    dbt = str(Path(sys.executable).with_name("dbt"))
    run([dbt, "--quiet", "parse"], THEN, env, cwd=PROJECT)
    FOLDER.mkdir(exist_ok=True)
    shutil.copyfile(TARGET / "manifest.json", FOLDER / "manifest.json")
    MADE_OF.write_text(found)


def current() -> Path:
    """The manifest of the files as they are.

    Raises LakehouseError when they have changed since it was made.
    """
    if not is_current():
        raise LakehouseError(
            "dbt's files have changed since Airflow's copy of the graph was made", "`make up`"
        )
    return FOLDER / "manifest.json"


def is_current() -> bool:
    return MADE_OF.exists() and MADE_OF.read_text() == fingerprint()


def fingerprint() -> str:
    """One text for the content of all files that dbt reads."""
    files = [PROJECT / "dbt_project.yml", PROJECT / "profiles.yml"]
    files += [file for part in PARTS for file in (PROJECT / part).rglob("*") if file.is_file()]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(PROJECT)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
