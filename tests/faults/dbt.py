"""dbt on a drill's stack, its own files kept out of the project."""

import os
import subprocess
import sys
from pathlib import Path

from infra.paths import REPO


def build_silver() -> subprocess.CompletedProcess[str]:
    """Run dbt for silver and what is below it."""
    project, state = str(REPO / "dbt_project"), Path(os.environ["LAKEHOUSE_STATE"])
    return subprocess.run(
        [
            *(str(Path(sys.executable).with_name("dbt")), "--no-use-colors"),
            *("build", "--select", "+silver"),
            *("--exclude-resource-type", "test", "unit_test"),
            *("--project-dir", project, "--profiles-dir", project),
            *("--target-path", str(state / "dbt"), "--log-path", str(state / "dbt")),
        ],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
