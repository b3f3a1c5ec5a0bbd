"""A corner of the lake for each test: its own source schema, tables file and tables."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dotenv import dotenv_values

from ingestion.batch.cursor import CursorInterval
from ingestion.batch.manifest import Manifest, Mode, manifest_keys, read_manifest
from ingestion.batch.run import run_batch
from ingestion.bronze_tables import Ensured, ensure_tables
from ingestion.postgres import connect_owner
from ingestion.settings import REPOSITORY, Settings, env_file, get_settings
from ingestion.storage import Bronze
from ingestion.stream.client import open_admin
from ingestion.tables import Tables, load_tables
from ingestion.trino_client import Trino
from tests.stack import delete_objects, objects_administrator


@dataclass
class Corner:
    """A place of its own in the source, in bronze and in Trino.

    ``schema`` names the source's schema and bronze's in Trino; a table ``x`` of the source
    is ``<schema>_x`` in bronze.
    """

    schema: str
    settings: Settings
    folder: Path
    entries: list[dict[str, Any]]

    @property
    def tables_file(self) -> Path:
        return self.folder / "tables.yml"

    @property
    def bronze(self) -> Bronze:
        return Bronze(self.settings)

    @property
    def trino(self) -> Trino:
        """The administrator's: what is tested connects as ingestion."""
        return Trino(self.settings.model_copy(update={"trino_user": "admin"}))

    @property
    def tables(self) -> Tables:
        return load_tables(self.tables_file)

    @property
    def silver(self) -> str:
        """A schema for Iceberg tables, which a test makes if it wants it."""
        return f"iceberg.{self.schema}_silver"

    def sql(self, *statements: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run the statements as the owner; the rows of the last."""
        connection = self.connect()
        try:
            with connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def connect(self) -> Any:
        connection = connect_owner(self.settings, "test")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SET search_path TO {self.schema}")
        return connection

    def configure(self, name: str, key: str = "id", **entry: Any) -> str:
        """Add a table to the tables file; its name in bronze."""
        bronze_name = f"{self.schema}_{name.lower()}"
        source = entry.pop("source", f"{self.schema}.{name}")
        self.entries.append({"name": bronze_name, "source": source, "key": [key], **entry})
        content = {
            "bronze_schema": f"hive.{self.schema}",
            "first_day": "2026-01-01",
            "tables": self.entries,
        }
        self.tables_file.write_text(yaml.safe_dump(content))
        return bronze_name

    def land(
        self,
        mode: Mode = "full",
        workers: int = 2,
        names: Any = (),
        interval: CursorInterval | None = None,
    ) -> list[Manifest]:
        tables = self.tables
        selected = tables.select(list(names))
        return list(run_batch(self.settings, tables, selected, mode, workers, interval))

    def ensure_tables(self) -> list[Ensured]:
        return ensure_tables(self.settings, self.tables, self.tables.tables)

    def manifests(self, table: str) -> list[Manifest]:
        bronze = self.bronze
        found = [read_manifest(bronze, key) for key in manifest_keys(bronze, table)]
        return sorted(found, key=lambda manifest: manifest.snapshot_id)

    def landed(self, manifest: Manifest) -> pa.Table:
        """A snapshot's rows, read from its objects, without Trino."""
        bronze = self.bronze
        keys = [part.object.removeprefix(bronze.uri("")) for part in manifest.parts]
        return pa.concat_tables(pq.read_table(pa.BufferReader(bronze.get(key))) for key in keys)

    def visible(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """What Trino shows of the snapshots that have a manifest."""
        bronze = f"hive.{self.schema}"
        return self.trino.query(
            f"SELECT {columns} FROM {bronze}.{table} WHERE dt >= current_date - interval '1' day"
            f" AND _snapshot_id IN (SELECT snapshot_id FROM {bronze}.batch_snapshots"
            f" WHERE dt >= current_date - interval '1' day AND table_name = '{table}')"
        )

    def environment(self) -> dict[str, str]:
        """The environment in which a child process meets this corner."""
        return {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}


@pytest.fixture
def corner(tmp_path: Path) -> Iterator[Corner]:
    with open_corner(get_settings(), tmp_path) as made:
        yield made


@contextmanager
def open_corner(settings: Settings, folder: Path) -> Iterator[Corner]:
    """A corner of the source that the settings name; what it landed is deleted at the end."""
    schema = f"test_{uuid.uuid4().hex[:10]}"
    made = Corner(schema, settings, folder, [])
    reader = settings.source_reader_user
    connection = connect_owner(settings, "test")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {reader};"
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {reader}"
        )
    connection.close()
    made.trino.query(f"CREATE SCHEMA hive.{schema} WITH (location = 's3://bronze/')")
    yield made
    _clean_up(made)


def _clean_up(corner: Corner) -> None:
    corner.sql(f"DROP SCHEMA {corner.schema} CASCADE")
    for schema in (f"hive.{corner.schema}", corner.silver):
        corner.trino.query(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    # Ingestion may not delete; neither would an operator let it. The schema's name is in
    # every key: of tables, of topics, and of the empty folders, which `keys` leaves out.
    objects = objects_administrator()
    pages = objects.get_paginator("list_objects_v2").paginate(Bucket=corner.bronze.bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    delete_objects(corner.bronze.bucket, [key for key in keys if corner.schema in key])


@pytest.fixture
def administrator(corner: Corner) -> Iterator[Any]:
    """PostgreSQL's administrator, for what no ordinary user may do."""
    env = {**dotenv_values(env_file()), **os.environ}
    connection = psycopg2.connect(
        host=corner.settings.postgres_host,
        port=corner.settings.postgres_port,
        dbname=corner.settings.source_db,
        user=env["POSTGRES_ADMIN_USER"],
        password=env["POSTGRES_ADMIN_PASSWORD"],
    )
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def captured(corner: Corner, administrator: Any) -> Iterator[Settings]:
    """Settings with a publication and a slot of the test's own, as the set-up makes them."""
    name = corner.schema
    owner = corner.settings.source_owner_user
    with administrator.cursor() as cursor:
        cursor.execute(
            f"CREATE PUBLICATION {name} FOR TABLE debezium.heartbeat;"
            f"ALTER PUBLICATION {name} OWNER TO {owner}"
        )
        cursor.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (name,))
        yield corner.settings.model_copy(update={"stream_publication": name, "stream_slot": name})
        cursor.execute(f"DROP PUBLICATION {name}; SELECT pg_drop_replication_slot('{name}')")
    with open_admin(corner.settings) as kafka:
        kafka.delete_topics([topic for topic in kafka.list_topics() if name in topic])
