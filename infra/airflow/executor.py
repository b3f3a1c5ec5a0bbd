"""Airflow's LocalExecutor with preloaded pipelines and workers that end on SIGTERM."""

import signal
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.executors.local_executor import LocalExecutor

from infra.paths import REPO


class WarmExecutor(LocalExecutor):  # type: ignore[misc]  # Airflow is in an environment of its own
    """Reads the pipelines once, before its workers are forked.

    Each task is a fork of a worker and reads its pipeline. Alone, it would spend half a
    second of a core to import Cosmos and all that it needs: more than most tasks do else.
    """

    def start(self) -> None:
        DagBag(safe_mode=False)
        forget_own_modules()
        # A worker ignores SIGTERM and relies on its scheduler to stop it; if the scheduler
        # was killed, nothing would. (A scheduler that exits normally stops its workers.)
        handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            super().start()
        finally:
            signal.signal(signal.SIGTERM, handler)


def forget_own_modules() -> None:
    """Let each task read the project's files as they are then, not as they were at start."""
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        if file.is_relative_to(REPO) and "site-packages" not in file.parts:
            del sys.modules[name]
