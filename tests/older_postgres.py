"""PostgreSQL servers of other versions than ours, which also speak TLS."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra import bootstrap
from infra.native.stack import wait_until
from infra.paths import INFRA
from infra.provision import environment, program_folder, provision
from infra.services import postgres_healthy
from tests.stack import free_port

START = f"{INFRA}/native/bin/postgres"


def programs(version: int) -> Path:
    """The folder with a version's `initdb` and `postgres`."""
    name = f"postgres-{version}"
    provision([name])
    return program_folder(name) / "bin"


@contextmanager
def older_postgres(version: int, folder: Path) -> Iterator[int]:
    """Run a server with the users and databases of a lakehouse; its port on loopback."""
    env = environment()
    ours, port = env["POSTGRES_BIN"], free_port()
    env |= {"LAKEHOUSE_STATE": str(folder), "POSTGRES_PORT": str(port)}
    older = {**os.environ, **env, "POSTGRES_BIN": str(programs(version))}
    bootstrap.init_database_cluster(older)
    options = [
        *("-D", str(folder / "postgres"), "-h", "127.0.0.1", "-p", str(port)),
        *("-c", f"config_file={INFRA}/postgres/postgresql.conf"),
        *("-c", f"hba_file={INFRA}/postgres/pg_hba.conf"),
    ]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([START, "postgres", *options], env=older, stderr=log)
        try:
            wait_until(lambda: postgres_healthy({**env, "POSTGRES_BIN": ours}), "postgres")
            bootstrap.create_databases({**os.environ, **env})
            yield port
        finally:
            server.send_signal(signal.SIGINT)  # fast: it disconnects clients
            server.wait()
