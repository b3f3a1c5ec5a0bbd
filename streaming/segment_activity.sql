-- How many applications each segment has per minute of application, and of what amount: the
-- online store sums the minutes of a window when it is read.
--
-- This part holds state: the newest version of each application, so that a later one replaces it
-- in its minute. A minute is the application's, not the change's: a window over the changes
-- would not count what is changed after it has closed.

-- State is kept for so long after its last change. Of an older application no window tells.
SET 'table.exec.state.ttl' = '{{ activity.state_days }} d';

CREATE TABLE activity (
    run STRING,
    segment STRING,
    created_minute TIMESTAMP(6),
    applications BIGINT,
    approved BIGINT,
    total_amount DECIMAL(38, 2),
    PRIMARY KEY (run, segment, created_minute) NOT ENFORCED
) WITH (
    {{ database }}
    'table-name' = '{{ activity_table }}'
);

-- When the first change that this run has read was committed: of a minute before, it may lack
-- applications.
CREATE TABLE activity_began (
    run STRING,
    began_at TIMESTAMP(6),
    PRIMARY KEY (run) NOT ENFORCED
) WITH (
    {{ database }}
    'table-name' = '{{ activity_began_table }}'
);

CREATE TEMPORARY VIEW newest AS
SELECT *
FROM (
    SELECT
        `{{ key }}`,
        lsn,
        has_features,
        created_at,
        loan_amnt,
        loan_status,
        {%- for column in activity.segments.values() %}
        `{{ column }}`,
        {%- endfor %}
        CAST(TO_TIMESTAMP_LTZ(source.ts_us, 6) AS TIMESTAMP(6)) AS committed_at,
        -- By one column: with two, Flink 2.3 takes this for rows that are only ever added
        -- (FLINK-40368), and no version is replaced.
        ROW_NUMBER() OVER (
            PARTITION BY `{{ key }}` ORDER BY lsn DESC
        ) AS place
    FROM judged
)
WHERE place = 1;

CREATE TEMPORARY VIEW counted AS
SELECT
    FLOOR(newest.created_at TO MINUTE) AS created_minute,
    newest.loan_amnt,
    newest.loan_status,
    {%- for column in activity.segments.values() %}
    newest.`{{ column }}`{{ ',' if not loop.last }}
    {%- endfor %}
FROM newest
LEFT JOIN (
    SELECT MAX(lsn) AS lsn
    FROM positioned
    WHERE op = 't'
) AS last_truncate
    ON TRUE
WHERE
    newest.has_features
    AND newest.lsn > COALESCE(last_truncate.lsn, -1)
    AND newest.created_at > newest.committed_at - INTERVAL '{{ activity.state_days }}' DAY;

CREATE TEMPORARY VIEW activity_rows AS
SELECT
    '{{ run }}',
    segment,
    created_minute,
    COUNT(*),
    SUM(CASE WHEN loan_status = 1 THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END),
    SUM(loan_amnt)
FROM counted
CROSS JOIN UNNEST(
    ARRAY[
        {%- for kind, column in activity.segments.items() %}
        '{{ kind }}=' || `{{ column }}`{{ ',' if not loop.last }}
        {%- endfor %}
    ]
) AS segments (segment)
GROUP BY segment, created_minute;
