{#- Of older days nothing is needed any more: the newest full snapshot of the
    run before is the oldest that can still count. -#}
{% set before = remembered(this.identifier) %}

with

snapshots as (

    select * from {{ ref('stg_batch_snapshots') }}
    {% if before %}
        where dt >= date '{{ value_of(
            "select coalesce(min(dt), date '1970-01-01') from " ~ before,
            "1970-01-01"
        ) }}'
    {% endif %}

),

with_newest_full as (

    select
        *,
        max(if(snapshot_mode = 'full', snapshot_id)) over (
            partition by table_name
        ) as newest_full_id
    from snapshots

),

effective_snapshots as (

    select
        ---------- ids
        snapshot_id,
        table_name,

        ---------- what kind
        snapshot_mode,

        ---------- position in the source's history
        snapshot_lsn,
        snapshot_xmin,
        snapshot_xmax,
        snapshot_xip,

        ---------- numerics
        row_count,

        ---------- timestamps
        taken_at,

        ---------- partition
        dt

    from with_newest_full
    where snapshot_id >= newest_full_id

)

select * from effective_snapshots
