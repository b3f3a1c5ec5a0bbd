"""The job as Flink runs it: its SQL, and the tables that it writes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psycopg2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from psycopg2 import sql

from ingestion.stream.client import address
from streaming.definitions import Definitions, read_definitions
from streaming.errors import StreamingError
from streaming.lag import group_of
from streaming.settings import (
    ACTIVITY,
    ENTITY,
    SCHEMA,
    JobSettings,
    feast_project,
    source_table,
    source_topic,
)

FOLDER = Path(__file__).parent
TABLES = ("row_features_tables.sql", "segment_activity_tables.sql")
# PostgreSQL's name of a type of Flink's.
COLUMN_TYPES = {
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "STRING": "text",
    "BOOLEAN": "boolean",
}


@dataclass(frozen=True)
class Job:
    """A job over one topic: ``topic_id`` differs once the topic is deleted and made again."""

    settings: JobSettings
    topic: str
    topic_id: str
    definitions: Definitions

    @property
    def key(self) -> str:
        [key] = source_table().key
        return key

    @property
    def online_table(self) -> str:
        return f"{feast_project()}_{ENTITY}"

    @property
    def truncated_table(self) -> str:
        return f"{self.online_table}_truncated"

    @property
    def activity_table(self) -> str:
        return f"{feast_project()}_{ACTIVITY}"

    @property
    def began_table(self) -> str:
        return f"{self.activity_table}_began"

    @property
    def run(self) -> str:
        """Differs for a changed job, and for another topic: what they count is not mixed."""
        digest = hashlib.sha256(self._sql(run="").encode()).hexdigest()[:16]
        return f"{self.topic_id}-{digest}"

    def sql(self) -> str:
        """The script. It has no secret: Flink prints it."""
        return self._sql(self.run)

    def _sql(self, run: str) -> str:
        environment = Environment(
            loader=FileSystemLoader(FOLDER),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701 (it is SQL)
        )
        return environment.get_template("job.sql").render(
            key=self.key,
            topic=self.topic,
            topic_id=self.topic_id,
            run=run,
            kafka=address(self.settings),
            group=group_of(self.online_table),
            columns=self.definitions.columns,
            rejections=self.definitions.rejections,
            features=self.definitions.features,
            activity=self.definitions.activity,
            database=database_options(self.settings),
            online_table=f"{SCHEMA}.{self.online_table}",
            truncated_table=f"{SCHEMA}.{self.truncated_table}",
            activity_table=f"{SCHEMA}.{self.activity_table}",
            activity_began_table=f"{SCHEMA}.{self.began_table}",
        )

    def checkpoints(self) -> str:
        """Where its checkpoints are: not where those of a changed job, or of another topic, are."""
        return f"{self.online_table}/{self.run}"


def read_job(settings: JobSettings, topic_id: str) -> Job:
    return Job(settings, source_topic(settings), topic_id, read_definitions())


def database_options(settings: JobSettings) -> str:
    """What Flink's two tables in PostgreSQL have in common."""
    parameters = {
        # Its password is in the file that infra/native/bin/flink names.
        "user": settings.flink_db_user,
        "sslmode": settings.pgsslmode,
        "sslrootcert": settings.pgsslrootcert,
        "reWriteBatchedInserts": "true",
        # The driver sends times without a zone.
        "options": "-c TimeZone=UTC",
        "ApplicationName": "streaming",
    }
    given = urlencode({name: value for name, value in parameters.items() if value})
    server = f"{settings.postgres_host}:{settings.postgres_port}"
    options = {
        "connector": "jdbc",
        "url": f"jdbc:postgresql://{server}/{settings.feast_db}?{given.replace('+', '%20')}",
        "sink.buffer-flush.interval": "100 ms",
        "sink.buffer-flush.max-rows": "1000",
    }
    return "\n    ".join(f"'{name}' = {quoted(value)}," for name, value in options.items())


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def ensure_tables(job: Job) -> None:
    """The job's tables in Feast's database; of another shape, they are dropped and filled again.

    Raises StreamingError: PostgreSQL cannot be reached, or refuses.
    """
    try:
        connection = connect(job.settings)
        try:
            with connection, connection.cursor() as cursor:
                if columns_of(cursor, job.online_table) not in ({}, wanted_columns(job)):
                    cursor.execute(sql.SQL("drop table {}.{}").format(*online_name(job)))
                cursor.execute(ddl(job))
                begin_run(cursor, job)
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise StreamingError(
            f"Flink's tables in PostgreSQL: {str(error).strip()}", "`make status` shows what runs"
        ) from None


def connect(settings: JobSettings) -> "psycopg2.extensions.connection":
    return psycopg2.connect(
        host=settings.postgres_host,
        port=settings.postgres_port,
        dbname=settings.feast_db,
        user=settings.flink_db_user,
        password=settings.flink_db_password.get_secret_value(),
        application_name="streaming",
    )


def online_name(job: Job) -> tuple[sql.Identifier, sql.Identifier]:
    return sql.Identifier(SCHEMA), sql.Identifier(job.online_table)


def wanted_columns(job: Job) -> dict[str, str]:
    """The features' columns with their types."""
    return {feature.name: COLUMN_TYPES[feature.type] for feature in job.definitions.features}


def columns_of(cursor: "psycopg2.extensions.cursor", table: str) -> dict[str, str]:
    """The features' columns of the table as it is; none if there is no table."""
    cursor.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = %s and table_name = %s and ordinal_position > 7"
        " order by ordinal_position",
        (SCHEMA, table),
    )
    return dict(cursor.fetchall())


def ddl(job: Job) -> sql.Composed:
    features = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in wanted_columns(job).items()
    ]
    schema, online = online_name(job)
    script = "".join((FOLDER / name).read_text() for name in TABLES)
    return sql.SQL(script).format(
        schema=schema,
        online=online,
        truncated=sql.Identifier(job.truncated_table),
        activity=sql.Identifier(job.activity_table),
        activity_began=sql.Identifier(job.began_table),
        key=sql.Identifier(job.key),
        features=sql.SQL(",\n    ").join(features),
    )


def begin_run(cursor: "psycopg2.extensions.cursor", job: Job) -> None:
    """Have readers take this run's figures; until Flink says when it began, they take gold's.

    Those of other runs stay until they are old: a change of the job may be taken back, and then
    its state, from a checkpoint or savepoint, belongs to what it has written.
    """
    began = sql.Identifier(SCHEMA, job.began_table)
    cursor.execute(
        sql.SQL("update {} set is_current = false where run <> %s").format(began), (job.run,)
    )
    cursor.execute(
        sql.SQL(
            "insert into {} values (%s, 'infinity', true)"
            " on conflict (run) do update set is_current = true"
        ).format(began),
        (job.run,),
    )


def write_script(job: Job) -> Path:
    """Write the script for Flink to read; its path."""
    folder = job.settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{job.online_table}.sql"
    file.write_text(job.sql())
    return file
