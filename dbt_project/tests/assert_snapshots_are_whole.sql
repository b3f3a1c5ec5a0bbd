-- Bronze holds as many rows of a snapshot as its manifest promised. A lost part
-- fails here, before silver is rebuilt without its rows. Of older snapshots
-- that have been folded in, silver needs nothing more.
with

snapshots as (

    select * from {{ ref('int_batch_snapshots__effective') }}
    where
        table_name = 'loan_applications'
        and {{ is_needed(remembered_progress()) }}

),

landed as (

    select
        applications.dt,
        applications._snapshot_id,
        count(*) as landed_rows
    from {{ ref('stg_loan_applications_batch') }} as applications
    inner join snapshots
        on
            applications.dt = snapshots.dt
            and applications._snapshot_id = snapshots.snapshot_id
    group by applications.dt, applications._snapshot_id

)

select
    snapshots.snapshot_id,
    snapshots.row_count as promised_rows,
    coalesce(landed.landed_rows, 0) as landed_rows
from snapshots
left join landed
    on
        snapshots.dt = landed.dt
        and snapshots.snapshot_id = landed._snapshot_id
where snapshots.row_count != coalesce(landed.landed_rows, 0)
