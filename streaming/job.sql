-- The job: what it reads, and what it makes of it, each in a file of its own. These are templates:
-- streaming/job.py fills them in from the dbt project's definitions.

SET 'table.local-time-zone' = 'UTC';
-- Not Flink but a table's trigger, or the newest version's place, decides between two rows of a key.
SET 'table.exec.sink.require-on-conflict' = 'false';
SET 'table.exec.sink.upsert-materialize' = 'NONE';
-- What several of the tables are made from is computed once.
SET 'table.optimizer.reuse-optimize-block-with-digest-enabled' = 'true';

{% include 'changes.sql' %}
{% include 'row_features.sql' %}
{% include 'segment_activity.sql' %}

EXECUTE STATEMENT SET
BEGIN
INSERT INTO online SELECT * FROM online_rows;

INSERT INTO truncated
SELECT input_id, `offset`, lsn
FROM positioned
WHERE op = 't';

INSERT INTO activity SELECT * FROM activity_rows;

-- Of changes only: any other record may have any time.
INSERT INTO activity_began
SELECT '{{ run }}', CAST(TO_TIMESTAMP_LTZ(source.ts_us, 6) AS TIMESTAMP(6))
FROM judged;
END;
