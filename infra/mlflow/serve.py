"""`mlflow server`, as one process.

MLflow's command starts the server as a child and waits for it, holding as much memory as the
server itself. Here it becomes the server. It runs in MLflow's own environment.
"""

import os
from typing import NoReturn

import mlflow.server
from mlflow.cli import cli


def become(command: list[str], *, extra_env: dict[str, str], **_: object) -> NoReturn:
    """Takes the place of MLflow's function that starts the server's process."""
    os.execvpe(command[0], command, os.environ | extra_env)


mlflow.server._exec_cmd = become  # type: ignore[attr-defined, assignment] # MLflow is locked

if __name__ == "__main__":
    cli()
