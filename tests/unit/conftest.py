"""What dbt and Feast make of their projects, read without any service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from feast.repo_contents import RepoContents
from feast.repo_operations import parse_repo

from infra.paths import REPO


@pytest.fixture(scope="session")
def manifest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's manifest of the project."""
    folder = tmp_path_factory.mktemp("dbt")
    dbt = str(Path(sys.executable).with_name("dbt"))
    subprocess.run(
        [
            dbt,
            "--quiet",
            f"--log-path={folder}",
            "parse",
            "--target=lint",
            f"--target-path={folder}",
        ],
        cwd=REPO / "dbt_project",
        check=True,
    )
    return folder / "manifest.json"


@pytest.fixture(scope="session")
def manifest(manifest_file: Path) -> dict[str, Any]:
    """The dbt project as dbt understands it."""
    parsed: dict[str, Any] = json.loads(manifest_file.read_text())
    return parsed


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch, manifest_file: Path) -> Iterator[RepoContents]:
    """The objects of the feature repository."""
    monkeypatch.setenv("DBT_MANIFEST", str(manifest_file))
    repo = REPO / "feast_repo"
    monkeypatch.chdir(repo)
    monkeypatch.syspath_prepend(str(repo))
    yield parse_repo(repo)
    for file in repo.glob("*.py"):
        sys.modules.pop(file.stem, None)
