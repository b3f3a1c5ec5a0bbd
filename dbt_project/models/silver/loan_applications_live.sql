{#- The constants in this view are how far the fold has come: every run makes it
    anew, behind the state, and a run that does not get here leaves a view that
    reads more than it must and still tells the truth. -#}
-- depends_on: {{ ref('int_loan_applications__progress') }}
with

changes as (

    select * from {{ ref('stg_loan_applications_stream') }}
    where
        {{ unread_objects() }}

),

state as (

    select * from {{ ref('int_loan_applications__state') }}

),

snapshots as (

    select * from {{ ref('int_batch_snapshots__effective') }}
    where table_name = 'loan_applications'

),

claims as (

    select
        claim,
        application_id,
        is_deleted,
        lsn,
        tx_id,
        cast(null as varchar) as snapshot_id,
        cast(null as varchar) as version_id,
        changed_at,
        known_at,
        {{ loan_attributes() }}
    from changes
    where claim in ('event', 'truncate')
    union all
    select
        'truncate' as claim,
        cast(null as bigint) as application_id,
        false as is_deleted,
        lsn,
        tx_id,
        cast(null as varchar) as snapshot_id,
        cast(null as varchar) as version_id,
        changed_at,
        known_at,
        {{ loan_attributes() }}
    from {{ ref('int_loan_applications__landed') }}
    where claim = 'truncate'
    union all
    select
        'known' as claim,
        application_id,
        outcome = 'deleted' as is_deleted,
        _lsn as lsn,
        _tx_id as tx_id,
        _snapshot_id as snapshot_id,
        _version_id as version_id,
        _changed_at as changed_at,
        _known_at as known_at,
        {{ loan_attributes() }}
    from state
    where
        application_id in (
            select changes.application_id from changes
            where changes.claim = 'event'
        )

),

{{ decide() }},

changed as (

    select
        application_id,
        {{ loan_attributes() }},
        version_id as _version_id,
        known_at as _known_at
    from decided
    where
        not is_gone
        and cardinality(
            {{ broken_rules(var('loan_application_rules'), 'reject') }}
        ) = 0

),

new_truncate as (

    select
        max(lsn) as lsn,
        max_by(tx_id, lsn) as tx_id
    from changes
    where claim = 'truncate'

),

unchanged as (

    select
        state.application_id,
        {{ loan_attributes('state') }},
        state._version_id,
        state._known_at
    from state
    cross join new_truncate
    left join snapshots on state._snapshot_id = snapshots.snapshot_id
    where
        state.outcome = 'accepted'
        and state.application_id not in (
            select changes.application_id from changes
            where changes.claim = 'event'
        )
        and (
            new_truncate.lsn is null
            or new_truncate.lsn < state._lsn
            or {{ is_visible('new_truncate.tx_id', 'snapshots') }}
        )

),

live as (

    select * from unchanged
    union all
    select * from changed

)

select * from live
