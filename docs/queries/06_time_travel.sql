-- Every change of a table is a snapshot of it. Change one:
delete from sandbox_credit.large_loans
where application_id % 2 = 0;

select count(*) as loans_now
from sandbox_credit.large_loans;

-- The oldest first:
select
    snapshot_id,
    cast(committed_at as varchar) as committed_at,
    operation
from sandbox_credit."large_loans$snapshots"
order by committed_at;

-- DBeaver asks for :snapshot_id. Copy it from a row above.
select count(*) as loans_in_that_snapshot
from sandbox_credit.large_loans for version as of :snapshot_id;

-- Or by time, in quotes: '2026-01-31 12:00:00 UTC', or a committed_at above.
select count(*) as loans_at_that_time
from sandbox_credit.large_loans for timestamp as of timestamp :committed_at;

-- Silver and gold have snapshots, too, from run to run of dbt. They do not stay
-- for good: for the validity of values see the history (07_history.sql).
select
    count(*) as snapshots,
    min(committed_at) as oldest
from gold."loan_features$snapshots";
