-- Without a full snapshot there is no current state. This fails before silver
-- is replaced by an empty table.
select 'no committed full snapshot of loan_applications' as problem
where
    not exists (
        select 1
        from {{ ref('int_batch_snapshots__current') }}
        where
            table_name = 'loan_applications'
            and snapshot_mode = 'full'
    )
