{#- Previous decisions are read only for applications with new claims. A full
    snapshot and a TRUNCATE are claims about all of them, and changed rules
    concern all. -#}
-- depends_on: {{ ref('accepted_values') }}
{% set landed = ref('int_loan_applications__landed') %}
{% set snapshots = ref('int_batch_snapshots__effective') %}
{% set state = remembered('int_loan_applications__state') %}
{% set progress = remembered_progress() %}
{% set no_attributes = no_loan_attributes() %}
{% set unreadable = remembered('int_loan_applications__unreadable')
    if progress %}
{% set all_are_meant = not progress or value_of(
    "select count(*) > 0 from ("
    ~ "select snapshot_id from " ~ snapshots
    ~ " where table_name = 'loan_applications' and snapshot_mode = 'full'"
    ~ " union all select cast(lsn as varchar) from "
    ~ landed ~ " where claim = 'truncate'"
    ~ " union all " ~ rules_in_force()
    ~ ") as t (input_id) where input_id not in"
    ~ " (select if(input_kind = 'rules', last_object, input_id) from " ~ progress ~ ")", false
) %}

with

landed as (

    select * from {{ landed }}

),

claims as (

    select
        if(unreadable is null, claim, 'unreadable ' || claim) as claim,
        application_id,
        is_deleted,
        lsn,
        tx_id,
        snapshot_id,
        cast(null as varchar) as version_id,
        changed_at,
        known_at,
        {{ loan_attributes() }}
    from landed
    where claim in ('event', 'row', 'truncate')
    {% if state %}
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
        from {{ state }}
        {% if not all_are_meant %}
            where application_id in (select landed.application_id from landed)
        {% endif %}
    {% endif %}
    {% if unreadable %}
        union all
        select
            'unreadable row' as claim,
            application_id,
            false as is_deleted,
            cast(null as bigint) as lsn,
            cast(null as bigint) as tx_id,
            snapshot_id,
            cast(null as varchar) as version_id,
            cast(null as timestamp(6) with time zone) as changed_at,
            known_at,
            {{ no_attributes }}
        from {{ unreadable }}
        where snapshot_id is not null
    {% endif %}

)

select * from claims
