"""`make docs`: makes dbt's documentation and serves it on loopback.

To dbt a source has no parents. Bronze has: the source's own tables. It names them in
`meta.landed_from` (dbt_project/models/staging/__sources.yml), and their edges are drawn
here, so that lineage begins where the data does.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.command_line import run_command
from infra.env import load_env
from infra.errors import LakehouseError
from infra.paths import REPO
from infra.services import trino_healthy

PROJECT = REPO / "dbt_project"
# Not target/ itself: the next `dbt build` would put its own manifest there.
FOLDER = PROJECT / "target/docs"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without logging each request."""

    def log_message(self, *_: object) -> None:
        pass


def generate(env: dict[str, str], folder: Path, dbt_arguments: list[str]) -> None:
    """Put the site into the folder: index.html and the two files that it reads."""
    dbt = str(Path(sys.executable).with_name("dbt"))
    command = [dbt, "docs", "generate", "--target-path", str(folder), *dbt_arguments]
    if subprocess.run(command, cwd=PROJECT, env={**os.environ, **env}, check=False).returncode:
        raise LakehouseError("dbt could not make the documentation", "its message is above")
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    draw_landing(manifest)
    file.write_text(json.dumps(manifest))


def draw_landing(manifest: dict[str, Any]) -> None:
    """Add the edges from the source's tables to those of bronze."""
    ids = {f"{s['source_name']}.{s['name']}": key for key, s in manifest["sources"].items()}
    for key, source in manifest["sources"].items():
        for name in source["config"]["meta"].get("landed_from", []):
            manifest["parent_map"][key].append(ids[name])
            manifest["child_map"][ids[name]].append(key)


def listen(env: dict[str, str], folder: Path) -> ThreadingHTTPServer:
    host, port = env["BIND_HOST"], env["DBT_DOCS_PORT"]
    try:
        return ThreadingHTTPServer((host, int(port)), partial(QuietHandler, directory=str(folder)))
    except OSError as error:
        raise LakehouseError(
            f"cannot serve on {host}:{port}: {error.strerror}",
            "end the other `make docs`, or set DBT_DOCS_PORT in .env",
        ) from error


def serve(folder: Path, dbt_arguments: list[str]) -> None:
    env = load_env()
    if not trino_healthy(env):
        address = f"http://{env['TRINO_HOST']}:{env['TRINO_PORT']}"
        raise LakehouseError(f"Trino does not answer at {address}", "`make up` starts it")
    with listen(env, folder) as server:
        generate(env, folder, dbt_arguments)
        address = f"http://{env['BIND_HOST']}:{env['DBT_DOCS_PORT']}"
        Console().print(f"\nThe documentation is at {address}  (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.docs", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to make the site")
    arguments, dbt_arguments = parser.parse_known_args()
    serve(arguments.folder.resolve(), dbt_arguments)


if __name__ == "__main__":
    run_command(main)
