with

snapshots as (

    select * from {{ ref('stg_batch_snapshots') }}

),

numbered as (

    select
        *,
        -- One loader at a time reads a table, so this is the order in which
        -- the snapshots saw the source.
        row_number() over (
            partition by table_name
            order by snapshot_lsn, snapshot_id
        ) as snapshot_number
    from snapshots

),

with_newest_full as (

    select
        *,
        max(if(snapshot_mode = 'full', snapshot_number)) over (
            partition by table_name
        ) as newest_full_number
    from numbered

),

current_snapshots as (

    select
        ---------- ids
        snapshot_id,
        table_name,

        ---------- what kind
        snapshot_mode,

        ---------- numerics
        snapshot_number,
        row_count,

        ---------- timestamps
        taken_at,

        ---------- partition
        dt

    from with_newest_full
    where snapshot_number >= newest_full_number

)

select * from current_snapshots
