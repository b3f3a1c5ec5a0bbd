-- The features of each application, seconds after its change was committed.
--
-- This part holds no state: the newest row of a key is decided in PostgreSQL, by its place in the
-- stream (row_features_tables.sql). So any replay, from an older checkpoint or from the
-- beginning, is right.

CREATE TABLE online (
    `{{ key }}` BIGINT,
    input_id STRING,
    record_offset BIGINT,
    lsn BIGINT,
    has_features BOOLEAN,
    event_timestamp TIMESTAMP(6),
    created_timestamp TIMESTAMP(6),
    {%- for feature in features %}
    {{ feature.name }} {{ feature.type }},
    {%- endfor %}
    PRIMARY KEY (`{{ key }}`) NOT ENFORCED
) WITH (
    {{ database }}
    'table-name' = '{{ online_table }}'
);

CREATE TABLE truncated (
    input_id STRING,
    record_offset BIGINT,
    lsn BIGINT,
    PRIMARY KEY (input_id) NOT ENFORCED
) WITH (
    {{ database }}
    'table-name' = '{{ truncated_table }}'
);

CREATE TEMPORARY VIEW online_rows AS
SELECT
    `{{ key }}`,
    input_id,
    `offset`,
    lsn,
    has_features,
    CAST(TO_TIMESTAMP_LTZ(source.ts_us, 6) AS TIMESTAMP(6)),
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6))
    {%- for feature in features %},
    {{ feature.expression }}
    {%- endfor %}
FROM judged;
