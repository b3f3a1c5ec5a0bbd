{% set progress = remembered_progress() %}
{% set before = remembered(this.identifier) if progress %}

with

snapshots as (

    select * from {{ ref('int_batch_snapshots__effective') }}
    where table_name = 'loan_applications'

),

new_snapshots as (

    select * from snapshots
    {% if progress %}
        where snapshot_id not in (
            select progress.input_id
            from {{ progress }} as progress
            where progress.input_kind = 'snapshot'
        )
    {% endif %}

),

applications as (

    select * from {{ ref('stg_loan_applications_batch') }}

),

changes as (

    select * from {{ ref('stg_loan_applications_stream') }}

),

-- The join drops what has no manifest. Its dt reads as redundant and is not:
-- through it Trino learns which few of bronze's partitions it has to list.
new_rows as (

    select
        'row' as claim,
        applications.application_id,
        false as is_deleted,
        cast(null as bigint) as lsn,
        cast(null as bigint) as tx_id,
        new_snapshots.snapshot_id,
        cast(null as timestamp(6) with time zone) as changed_at,
        new_snapshots.taken_at as known_at,
        cast(null as varchar) as topic_id,
        cast(null as integer) as partition,
        cast(null as bigint) as object_start,
        cast(null as bigint) as object_end,
        cast(null as varchar) as _object,
        cast(null as varchar) as problem,
        applications.unreadable,
        {{ loan_attributes('applications') }}
    from applications
    inner join new_snapshots
        on
            applications.dt = new_snapshots.dt
            and applications._snapshot_id = new_snapshots.snapshot_id

),

new_events as (

    select
        claim,
        application_id,
        is_deleted,
        lsn,
        tx_id,
        cast(null as varchar) as snapshot_id,
        changed_at,
        known_at,
        topic_id,
        partition,
        object_start,
        object_end,
        _object,
        problem,
        unreadable,
        {{ loan_attributes() }}
    from changes
    where
        {{ unread_objects() }}

),

landed as (

    select * from new_rows
    union all
    select * from new_events
    {% if before %}
        union all
        -- A late change must still be compared with every TRUNCATE after it.
        select
            claim,
            application_id,
            is_deleted,
            lsn,
            tx_id,
            snapshot_id,
            changed_at,
            known_at,
            topic_id,
            partition,
            object_start,
            object_end,
            _object,
            problem,
            -- Not that of `before`, which an older version of this model made.
            null as unreadable,
            {{ loan_attributes() }}
        from {{ before }}
        where claim = 'truncate'
    {% endif %}

)

select * from landed
