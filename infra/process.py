"""Runs a program to its end; a failure becomes a LakehouseError."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.errors import LakehouseError


def run(
    command: list[str], hint: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Return what it printed. Raises LakehouseError, with `hint`, when it fails."""
    done = subprocess.run(command, check=False, env=env, cwd=cwd, text=True, capture_output=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LakehouseError(f"{Path(command[0]).name} failed: " + "\n  ".join(lines[-4:]), hint)
    return done.stdout
