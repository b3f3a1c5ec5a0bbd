-- Users and databases, each with the least it needs. Run by the set-up as the
-- administrator; names and passwords come from the environment. Repeatable: a
-- changed password takes effect at the next run.

\set ON_ERROR_STOP on
\getenv source_db SOURCE_DB
\getenv metastore_db METASTORE_DB
\getenv feast_db FEAST_DB
\getenv source_owner SOURCE_OWNER_USER
\getenv source_owner_password SOURCE_OWNER_PASSWORD
\getenv source_reader SOURCE_READER_USER
\getenv source_reader_password SOURCE_READER_PASSWORD
\getenv analyst SOURCE_ANALYST_USER
\getenv analyst_password SOURCE_ANALYST_PASSWORD
\getenv capture SOURCE_CAPTURE_USER
\getenv capture_password SOURCE_CAPTURE_PASSWORD
\getenv publication STREAM_PUBLICATION
\getenv slot STREAM_SLOT
\getenv metastore METASTORE_DB_USER
\getenv metastore_password METASTORE_DB_PASSWORD
\getenv feast FEAST_DB_USER
\getenv feast_password FEAST_DB_PASSWORD
\getenv feast_reader FEAST_READER_USER
\getenv feast_reader_password FEAST_READER_PASSWORD
\getenv scoring SCORING_DB_USER
\getenv scoring_password SCORING_DB_PASSWORD
\getenv flink FLINK_DB_USER
\getenv flink_password FLINK_DB_PASSWORD
\getenv mlflow_db MLFLOW_DB
\getenv mlflow MLFLOW_DB_USER
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv airflow_db AIRFLOW_DB
\getenv airflow AIRFLOW_DB_USER
\getenv airflow_password AIRFLOW_DB_PASSWORD

create temporary table wanted_role (name text, password text);
insert into wanted_role values
    (:'source_owner', :'source_owner_password'),
    (:'source_reader', :'source_reader_password'),
    (:'analyst', :'analyst_password'),
    (:'capture', :'capture_password'),
    (:'metastore', :'metastore_password'),
    (:'feast', :'feast_password'),
    (:'feast_reader', :'feast_reader_password'),
    (:'scoring', :'scoring_password'),
    (:'flink', :'flink_password'),
    (:'mlflow', :'mlflow_password'),
    (:'airflow', :'airflow_password');

select format('create role %I login', name)
from wanted_role
where name not in (select rolname from pg_roles) \gexec

select format('alter role %I password %L', name, password)
from wanted_role \gexec

-- A database belongs to its user; other users may not connect.
create temporary table wanted_database (name text, owner text);
insert into wanted_database values
    (:'source_db', :'source_owner'),
    (:'metastore_db', :'metastore'),
    (:'feast_db', :'feast'),
    (:'mlflow_db', :'mlflow'),
    (:'airflow_db', :'airflow');

select format('create database %I owner %I', name, owner)
from wanted_database
where name not in (select datname from pg_database) \gexec

select format('revoke connect on database %I from public', name)
from wanted_database \gexec

-- The reader sees every table that the owner makes, and changes none.
grant connect on database :"source_db" to :"source_reader";
\connect :"source_db"
grant usage on schema public to :"source_reader";
alter default privileges for role :"source_owner" in schema public
grant select on tables to :"source_reader";

-- So does the analyst, whose queries come through Trino at any time: none may load the
-- source for long. This includes tables that an older version created.
alter role :"analyst" set statement_timeout = '5min';
-- Where row-level security hides rows, a query fails rather than count what is left.
alter role :"analyst" set row_security = off;
grant connect on database :"source_db" to :"analyst";
grant usage on schema public to :"analyst";
grant select on all tables in schema public to :"analyst";
alter default privileges for role :"source_owner" in schema public
grant select on tables to :"analyst";

-- Change data capture. The user reads the log and sees no table but its own: the
-- heartbeat, which it updates so that its position in the log moves on while the
-- source is quiet and other databases write.
alter role :"capture" replication;
grant connect on database :"source_db" to :"capture";
create schema if not exists debezium authorization :"capture";
set role :"capture";
create table if not exists debezium.heartbeat (
    id integer primary key default 1 check (id = 1),
    beat_at timestamptz not null
);
insert into debezium.heartbeat (beat_at) values (now()) on conflict do nothing;
reset role;

-- The publication says which tables are captured. Its owner is the source's, whose
-- `python -m ingestion stream capture` adds the configured tables.
select format('create publication %I for table debezium.heartbeat', :'publication')
where :'publication' not in (select pubname from pg_publication) \gexec
alter publication :"publication" owner to :"source_owner";
alter publication :"publication" set (publish_via_partition_root = true);

-- From here on no change is lost, whether Debezium runs yet or not.
select pg_create_logical_replication_slot(:'slot', 'pgoutput')
where :'slot' not in (select slot_name from pg_replication_slots) \g /dev/null

-- A scheduler that is killed leaves its session: its workers hold the same socket. Its locks
-- would keep the next scheduler from queueing any task for as long as a worker lives.
alter role :"airflow" set idle_in_transaction_session_timeout = '1min';

-- The feature server and the scoring server read the registry and the online store, and
-- change neither.
grant connect on database :"feast_db" to :"feast_reader", :"scoring";
\connect :"feast_db"
grant usage on schema public to :"feast_reader", :"scoring";
grant select on all tables in schema public to :"feast_reader", :"scoring";
alter default privileges for role :"feast" in schema public
grant select on tables to :"feast_reader", :"scoring";

-- What Flink writes is in a schema of its own, and it sees no other. Feast deletes of it what
-- gold has by now.
grant connect on database :"feast_db" to :"flink";
create schema if not exists streaming authorization :"flink";
grant usage on schema streaming to :"feast", :"feast_reader", :"scoring";
alter default privileges for role :"flink" in schema streaming
grant select on tables to :"feast", :"feast_reader", :"scoring";
alter default privileges for role :"flink" in schema streaming
grant delete on tables to :"feast";
