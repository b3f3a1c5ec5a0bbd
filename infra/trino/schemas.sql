-- The layers, made by the set-up through Trino; names come from the environment.
create schema if not exists hive.bronze with (location = 's3://${BRONZE_BUCKET}/');
create schema if not exists iceberg.silver with (location = 's3://${SILVER_BUCKET}/');
create schema if not exists iceberg.gold with (location = 's3://${GOLD_BUCKET}/');
-- Feast writes the entities that it joins into temporary tables of its own.
create schema if not exists iceberg.feast with (location = 's3://${GOLD_BUCKET}/_feast/');
-- What an analyst makes.
create schema if not exists iceberg.sandbox with (location = 's3://${GOLD_BUCKET}/_sandbox/')
