"""Trino through its JDBC driver, as DBeaver and other JDBC clients use it.

The JVM runs in this process: once started, it stays until the process ends.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jpype

from infra.provision import environment


class RefusedError(Exception):
    """What the driver threw: the message that a client shows."""


class Jdbc:
    """A connection; every value comes as its text."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, sql: str) -> list[dict[str, str | None]]:
        """Run a statement and return its rows, by column.

        Raises:
            RefusedError: Trino or the driver refused it.
        """
        statement = self._connection.createStatement()
        try:
            if not statement.execute(sql):
                return []
            result = statement.getResultSet()
            meta = result.getMetaData()
            names = [meta.getColumnLabel(n) for n in range(1, meta.getColumnCount() + 1)]
            rows = []
            while result.next():
                rows.append({name: result.getString(n) for n, name in enumerate(names, start=1)})
            return rows
        except jpype.JException as error:
            raise RefusedError(error.getMessage()) from None
        finally:
            statement.close()


@contextmanager
def connect(user: str) -> Iterator[Jdbc]:
    if not jpype.isJVMStarted():
        env = environment()
        jpype.startJVM(
            f"{env['JAVA_HOME']}/lib/server/libjvm.so",
            "-Xmx128m",
            "-Xrs",  # signals stay Python's
            "--enable-native-access=ALL-UNNAMED",
            classpath=[f"{env['TRINO_JDBC_HOME']}/trino-jdbc.jar"],
            convertStrings=True,
        )
    url = f"jdbc:trino://{os.environ['TRINO_HOST']}:{os.environ['TRINO_PORT']}/iceberg"
    connection = jpype.JClass("java.sql.DriverManager").getConnection(f"{url}?user={user}")
    try:
        yield Jdbc(connection)
    finally:
        connection.close()
