"""Records one start of Trino, so that the next ones are faster.

JDK 25 can keep the classes that a run has loaded and linked in an ahead-of-time
cache (JEP 514, JEP 515). The run that is recorded needs no other service.
"""

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import trino
from dotenv import dotenv_values

from infra.env import EXAMPLE, program_env
from infra.errors import LakehouseError
from infra.paths import INFRA
from infra.services import trino_healthy

TIMEOUT_SECONDS = 180

# Enough of a query to load the classes of planning and of running a join.
QUERY = """
with numbers as (
    select n, n % 7 as k, cast(n as varchar) as s from unnest(sequence(1, 1000)) as t(n)
)
select a.k, count(*), sum(b.n), max(a.s), row_number() over (order by a.k)
from numbers as a join numbers as b on a.n = b.n
where a.s like '1%' group by a.k order by 2 desc limit 5
"""


def record_trino(folder: Path) -> None:
    """Start the Trino in `folder`, query it, stop it: leaves start.aot there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as state:
        env = {key: value or "" for key, value in dotenv_values(EXAMPLE).items()}
        env |= program_env({"trino": folder})
        env |= {"LAKEHOUSE_STATE": state, "TRINO_PORT": port}
        command = [f"{INFRA}/native/bin/trino", f"-XX:AOTCacheOutput={folder}/start.aot"]
        with Path(state, "log").open("w+") as log:
            process = subprocess.Popen(
                command, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                deadline = time.monotonic() + TIMEOUT_SECONDS
                while not (healthy := trino_healthy(env)) and process.poll() is None:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.1)
                if healthy:
                    with trino.dbapi.connect("127.0.0.1", int(port), user="setup") as connection:
                        connection.cursor().execute(QUERY).fetchall()
            finally:
                process.terminate()
                process.wait()
            if not (folder / "start.aot").exists():
                log.seek(0)
                raise LakehouseError(
                    f"Trino's start could not be recorded: {log.read()[-500:]}",
                    "run the command again, and report it with this message",
                )
