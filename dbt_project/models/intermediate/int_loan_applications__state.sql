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

versions as (

    select * from {{ ref('int_loan_applications__versions') }}
    where application_id in (
        select claims.application_id from claims
        where claims.claim in ('event', 'row', 'known')
    )

),

truncate_claims as (

    select * from claims
    where claim = 'truncate'

),

{{ order_versions() }},

{{ drop_repeats() }},

newest_versions as (

    select
        application_id,
        version_id,
        first_known_at,
        row_number() over (
            partition by application_id
            order by log_position desc, tx_id is null, version_id desc
        ) as age
    from distinct_versions

),

accepted_values as (

    select multimap_agg(attribute, value) as accepted
    from {{ ref('accepted_values') }}

),

checked as (

    select
        decided.*,
        newest_versions.version_id,
        newest_versions.first_known_at,
        if(
            decided.is_gone,
            array[],
            {{ broken_rules(var('loan_application_rules'), 'reject') }}
        ) as broken_rules
    from decided
    left join newest_versions
        on
            decided.application_id = newest_versions.application_id
            and newest_versions.age = 1
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
        version_id as _version_id,
        key_lsn as _lsn,
        key_tx_id as _tx_id,
        key_snapshot_id as _snapshot_id,
        changed_at as _changed_at,
        first_known_at as _known_at

    from checked

)

select * from state
