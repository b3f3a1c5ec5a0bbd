"""The features of gold's contracts, read from dbt's manifest: what dbt last read of them."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from click import ClickException
from feast import Field
from feast.types import Bool, FeastType, Float64, Int64, String, UnixTimestamp

from feast_repo.store import REPO

PROJECT = REPO.parent / "dbt_project"
# Every dbt command writes it. Tests have one of their own.
MANIFEST = Path(os.environ.get("DBT_MANIFEST", PROJECT / "target/manifest.json"))
HINT = (
    "  -> `dbt build` updates gold and the manifest, `dbt parse` only the manifest (in dbt_project)"
)

FEAST_TYPE: dict[str, FeastType] = {
    "bigint": Int64,
    "double": Float64,
    "varchar": String,
    "boolean": Bool,
    "timestamp(6) with time zone": UnixTimestamp,
}
NOT_FEATURES = ("application_id", "segment", "event_timestamp", "created_timestamp")


def features(table: str) -> list[Field]:
    """A feature for every column of a gold table that is neither key nor time."""
    return [
        Field(
            name=name,
            dtype=FEAST_TYPE[column["data_type"]],
            description=column["description"].strip(),
            tags={key: str(value) for key, value in column["config"]["meta"].items()},
        )
        for name, column in contract(table)["columns"].items()
        if name not in NOT_FEATURES
    ]


def description(table: str) -> str:
    return str(contract(table)["description"]).strip()


def contract(table: str) -> dict[str, Any]:
    """The model as dbt understands it: its description, and its columns by name.

    Raises ClickException, which `feast apply` prints without a traceback, when dbt has not read
    the files as they are.
    """
    manifest = read_manifest(MANIFEST)
    try:
        model: dict[str, Any] = manifest["nodes"][f"model.loan_lakehouse.{table}"]
    except KeyError:
        raise ClickException(f"dbt's manifest has no model {table}\n{HINT}") from None
    for file in defined_in(manifest, model):
        if not file.exists() or file.stat().st_mtime > MANIFEST.stat().st_mtime:
            name = file.relative_to(PROJECT)
            raise ClickException(f"{name} has changed since dbt last read it\n{HINT}")
    return model


@cache
def read_manifest(file: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        raise ClickException(f"dbt has not read its project yet: no {file}\n{HINT}") from None
    except ValueError:
        raise ClickException(f"{file} is incomplete: dbt is writing it\n  -> try again") from None
    return manifest


def defined_in(manifest: dict[str, Any], model: dict[str, Any]) -> set[Path]:
    """The files of a model's contract and of the descriptions that it uses."""
    blocks = [block for column in model["columns"].values() for block in column["doc_blocks"]]
    files = [manifest["docs"][block]["original_file_path"] for block in blocks]
    return {PROJECT / file for file in (model["patch_path"].split("://")[1], *files)}
