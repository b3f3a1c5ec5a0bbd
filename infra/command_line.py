"""What our commands have in common: an expected failure is one message, without a traceback."""

import os
import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from infra.errors import LakehouseError
from infra.paths import REPO

errors = Console(stderr=True, highlight=False)


def run_command(app: Callable[[], object], *expected: type[Exception]) -> None:
    """Run a command line; on a LakehouseError, or another of `expected`, exit with code 1."""
    reported: tuple[type[Exception], ...] = (LakehouseError, *expected)
    try:
        app()
    except reported as error:
        print_error(error)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == 130:  # Ctrl-C: do not wait for the threads of a download
            os._exit(130)
        raise


def print_error(error: object) -> None:
    errors.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)


def work_in_project() -> None:
    """Make the project's folder the current one, and keep loopback out of any proxy."""
    os.chdir(REPO)
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"]
