with

source as (

    select * from {{ source('bronze', 'batch_snapshots') }}

),

renamed as (

    select
        ---------- ids
        snapshot_id,
        table_name,

        ---------- what kind
        mode as snapshot_mode,

        ---------- position in the source's history
        lsn as snapshot_lsn,
        xmin as snapshot_xmin,
        xmax as snapshot_xmax,
        xip as snapshot_xip,

        ---------- numerics
        row_count,
        byte_count,

        ---------- timestamps
        cast(
            from_iso8601_timestamp_nanos(taken_at)
            as timestamp(6) with time zone
        ) as taken_at,
        cast(
            from_iso8601_timestamp_nanos(landed_at)
            as timestamp(6) with time zone
        ) as landed_at,

        ---------- partition
        dt

    from source

)

select * from renamed
