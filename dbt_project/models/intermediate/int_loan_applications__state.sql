{% do check_full_refresh(['int_loan_applications__landed']) %}

with

claims as (

    select * from {{ ref('int_loan_applications__claims') }}

),

snapshots as (

    select * from {{ ref('int_batch_snapshots__effective') }}
    where table_name = 'loan_applications'

),

{{ decide() }},

known as (

    select * from claims
    where claim = 'known'

),

-- A batch row with the known values is no new version, unless the stream has a
-- change in between: a row may be deleted and inserted again unchanged.
versioned as (

    select
        decided.*,
        decided.decided_by = 'batch'
        and known.version_id is not null
        and (
            known.version_id = decided.key_snapshot_id
            or coalesce(decided.key_lsn, -1) <= coalesce(known.lsn, -1)
        )
        and known.is_deleted = decided.is_gone
        and (
            decided.is_gone
            or row({{ loan_attributes('decided') }})
            is not distinct from row({{ loan_attributes('known') }})
        ) as is_known_already,
        known.version_id as known_version_id,
        known.known_at as version_known_at
    from decided
    left join known on decided.application_id = known.application_id

),

accepted_values as (

    select multimap_agg(attribute, value) as accepted
    from {{ ref('accepted_values') }}

),

checked as (

    select
        versioned.*,
        if(
            versioned.is_gone,
            array[],
            {{ broken_rules(var('loan_application_rules'), 'reject') }}
        ) as broken_rules
    from versioned
    cross join accepted_values

),

state as (

    select
        ---------- ids
        application_id,

        ---------- attributes, of which a deleted application has none
        {{ loan_attributes() }},

        ---------- quality
        broken_rules,
        case
            when is_gone then 'deleted'
            when cardinality(broken_rules) > 0 then 'rejected'
            else 'accepted'
        end as outcome,

        ---------- lineage
        decided_by as _decided_by,
        if(is_known_already, known_version_id, version_id) as _version_id,
        key_lsn as _lsn,
        key_tx_id as _tx_id,
        key_snapshot_id as _snapshot_id,
        changed_at as _changed_at,
        if(is_known_already, version_known_at, known_at) as _known_at

    from checked

)

select * from state
