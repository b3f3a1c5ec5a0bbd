"""dbt's manifest, from which Airflow draws the graph: made when dbt's files changed.

`python -m include.dbt_manifest`, in the folder airflow/ and the project's environment, makes
it before Airflow starts; `loan_etl.py` reads it.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from include import REPO

PROJECT = REPO / "dbt_project"
TARGET = PROJECT / "target"
# Not target/ itself, where every dbt command writes one of its own.
FOLDER = TARGET / "airflow"
FINGERPRINT_FILE = FOLDER / "made-of.txt"
PARTS = ("models", "macros", "seeds", "tests")


def refresh() -> None:
    """Make the manifest, unless it is that of the files as they are.

    dbt parses into its own target/: the first command after this one, by hand or by
    Cosmos, starts from there and parses only what has changed.
    Raises subprocess.CalledProcessError when dbt cannot parse the project.
    """
    if is_current():
        return
    found = fingerprint()  # before dbt reads the files: a change during parsing counts as new
    dbt = str(Path(sys.executable).with_name("dbt"))
    subprocess.run([dbt, "--quiet", "parse"], cwd=PROJECT, check=True, stdout=sys.stderr)
    FOLDER.mkdir(exist_ok=True)
    shutil.copyfile(TARGET / "manifest.json", FOLDER / "manifest.json")
    FINGERPRINT_FILE.write_text(found)


def current() -> Path:
    """The manifest of the files as they are.

    Raises StaleManifestError when they have changed since it was made.
    """
    if not is_current():
        raise StaleManifestError(
            "dbt's files have changed since Airflow's copy of the graph was made\n  -> `make up`"
        )
    return FOLDER / "manifest.json"


class StaleManifestError(Exception):
    """The graph that Airflow would draw is not that of dbt's files."""


def is_current() -> bool:
    return FINGERPRINT_FILE.exists() and FINGERPRINT_FILE.read_text() == fingerprint()


def fingerprint() -> str:
    """One text for the content of all files that dbt reads."""
    files = [PROJECT / "dbt_project.yml", PROJECT / "profiles.yml"]
    files += [file for part in PARTS for file in (PROJECT / part).rglob("*") if file.is_file()]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(PROJECT)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        refresh()
    except subprocess.CalledProcessError as error:
        sys.exit(f"dbt cannot parse dbt_project/ (exit code {error.returncode})")
