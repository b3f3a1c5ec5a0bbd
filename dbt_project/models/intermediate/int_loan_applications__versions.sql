{#- Existing rows before the lowest landed lsn are not affected. -#}
{% do check_full_refresh(['int_loan_applications__landed']) %}
{% set progress = remembered_progress() %}
{% set since = value_of(
    "select coalesce(min(lsn), 0) from (select lsn from "
    ~ ref('int_loan_applications__landed') ~ " union all select snapshot_lsn from "
    ~ ref('int_batch_snapshots__effective') ~ " where " ~ is_needed(progress) ~ ")", 0
) %}

with

landed as (

    select * from {{ ref('int_loan_applications__landed') }}

),

snapshots as (

    select * from {{ ref('int_batch_snapshots__effective') }}
    where table_name = 'loan_applications' and {{ is_needed(progress) }}

),

new_snapshots as (

    select * from snapshots
    {% if progress %}
        where snapshot_id not in (
            select progress.input_id from {{ progress }} as progress
        )
    {% endif %}

),

state as (

    select * from {{ ref('int_loan_applications__state') }}

),

events as (

    select
        *,
        row_number() over (
            partition by application_id, lsn
            order by known_at
        ) as repetition
    from landed
    where claim = 'event' and unreadable is null

),

from_stream as (

    select
        application_id,
        lpad(cast(lsn as varchar), 20, '0') as version_id,
        is_deleted,
        {{ loan_attributes() }},
        changed_at,
        known_at,
        lsn,
        tx_id,
        cast(null as bigint) as snapshot_xmin,
        cast(null as bigint) as snapshot_xmax,
        cast(null as array(bigint)) as snapshot_xip
    from events
    where repetition = 1

),

-- The batch rows that changed the state. A row of an older snapshot may do so,
-- too: when an earlier change arrives late by the stream.
from_batch as (

    select
        state.application_id,
        state._version_id as version_id,
        state.outcome = 'deleted' as is_deleted,
        {{ loan_attributes('state') }},
        -- The row may say any time of itself; it was true when it was seen.
        least(
            coalesce(state.updated_at, snapshots.taken_at), snapshots.taken_at
        ) as changed_at,
        state._known_at as known_at,
        snapshots.snapshot_lsn as lsn,
        cast(null as bigint) as tx_id,
        snapshots.snapshot_xmin,
        snapshots.snapshot_xmax,
        snapshots.snapshot_xip
    from state
    inner join snapshots on state._version_id = snapshots.snapshot_id
    where
        snapshots.snapshot_id in (
            select new_snapshots.snapshot_id from new_snapshots
        )
        or state.application_id in (select landed.application_id from landed)

),

versions as (

    select * from from_stream
    union all
    select * from from_batch

),

new_versions as (

    select versions.*
    from versions
    {% if is_incremental() %}
        left join {{ this }} as known
            on
                versions.application_id = known.application_id
                and versions.version_id = known.version_id
                and known.lsn >= {{ since }}
        where known.application_id is null
    {% endif %}

)

select * from new_versions
