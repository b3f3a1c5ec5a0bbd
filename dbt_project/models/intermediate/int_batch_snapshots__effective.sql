{#- Manifests of older days are known: nothing lands any more before the day of
    the newest full snapshot of the run before. -#}
{% set before = remembered(this.identifier) %}
{% set since = value_of(
    "select coalesce(min(newest), date '1970-01-01') from (select max(dt) as newest from "
    ~ before ~ " where snapshot_mode = 'full' group by table_name)", "1970-01-01"
) if before else none %}

{% set columns = "table_name, snapshot_id, snapshot_mode, snapshot_lsn,"
    ~ " snapshot_xmin, snapshot_xmax, snapshot_xip, row_count, taken_at, dt" %}

with

snapshots as (

    select
        {{ columns }}
    from {{ ref('stg_batch_snapshots') }}
    {% if since %}
        where dt >= date '{{ since }}'
        union all
        select
            {{ columns }}
        from {{ before }}
        where dt < date '{{ since }}'
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

        ---------- whether the state may rest on it
        coalesce(snapshot_id >= newest_full_id, false) as is_effective,

        ---------- numerics
        row_count,

        ---------- timestamps
        taken_at,

        ---------- partition
        dt

    from with_newest_full

)

select * from effective_snapshots
