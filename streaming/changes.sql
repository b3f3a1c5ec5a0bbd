-- The topic's records as changes of applications, with what silver says of each.

-- What does not parse is null or left out: the consumers make a dead letter of it.
CREATE TABLE changes (
    -- As a text: of a record with a null key, as a TRUNCATE is, the JSON format makes no row.
    record_key STRING,
    -- A row as texts by column: a column that is not sent differs from one that is null.
    `after` MAP<STRING, STRING>,
    op STRING,
    source ROW<lsn BIGINT, ts_us BIGINT>,
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '{{ topic }}',
    'properties.bootstrap.servers' = '{{ kafka }}',
    'properties.group.id' = '{{ group }}',
    -- Debezium writes in transactions.
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'scan.topic-partition-discovery.interval' = '10 s',
    'key.format' = 'raw',
    'key.fields' = 'record_key',
    'value.format' = 'json',
    'value.json.ignore-parse-errors' = 'true',
    'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TEMPORARY VIEW positioned AS
SELECT
    *,
    TRY_CAST(JSON_VALUE(record_key, '$.{{ key }}') AS BIGINT) AS `{{ key }}`,
    CONCAT('{{ topic_id }}+', CAST(`partition` AS STRING)) AS input_id,
    source.lsn AS lsn
FROM changes
WHERE source.lsn IS NOT NULL AND source.ts_us IS NOT NULL;

-- The planner would write each column's expression into every expression that uses it, and
-- Java does not compile methods so large. It does not where a random number is used twice.
CREATE TEMPORARY VIEW typed AS
SELECT
    *,
    {%- for column in columns %}
    {{ column.value }} AS `{{ column.name }}`,
    {%- endfor %}
    RAND() AS kept_apart
FROM positioned
WHERE op IN ('c', 'u', 'r', 'd') AND `{{ key }}` IS NOT NULL;

-- A row that silver could not read is left out: the version before it stays valid.
CREATE TEMPORARY VIEW judged AS
SELECT
    *,
    op <> 'd'
    {%- for rejection in rejections %}
    AND NOT COALESCE({{ rejection }}, FALSE)
    {%- endfor %} AS has_features
FROM typed
WHERE
    kept_apart BETWEEN 0 AND 1
    AND (
        op = 'd'
        OR (
            TRUE
            {%- for column in columns %}
            AND (
                `{{ column.name }}` IS NOT NULL
                OR (
                    {{ column.text }} IS NULL
                    AND ARRAY_CONTAINS(MAP_KEYS(`after`), '{{ column.name }}')
                )
            )
            AND COALESCE({{ column.text }} <> '__debezium_unavailable_value', TRUE)
            {%- endfor %}
        )
    );
