-- The layers, made by the set-up through Trino; names come from the environment.
create schema if not exists hive.bronze with (location = 's3://${BRONZE_BUCKET}/');
create schema if not exists iceberg.silver with (location = 's3://${SILVER_BUCKET}/');
create schema if not exists iceberg.gold with (location = 's3://${GOLD_BUCKET}/');
-- Results that Feast writes on request; as hive.feast (there is one metastore), the tables
-- over entities that are given as a DataFrame, while their query runs.
create schema if not exists iceberg.feast with (location = 's3://${GOLD_BUCKET}/_feast/');
-- An analyst's own tables.
create schema if not exists iceberg.sandbox with (location = 's3://${GOLD_BUCKET}/_sandbox/')
