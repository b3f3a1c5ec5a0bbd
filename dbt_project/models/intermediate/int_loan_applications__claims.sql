{#- Previous decisions are read only for applications with new claims. A full
    snapshot and a TRUNCATE are claims about all of them, and changed rules
    concern all. -#}
-- depends_on: {{ ref('accepted_values') }}
{% set landed = ref('int_loan_applications__landed') %}
{% set rows_in_bronze = ref('stg_loan_applications_batch') %}
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
{% set late = late_claims(landed, snapshots, progress) %}
{% set late_snapshots = rows_of(
    "select distinct snapshot_id from (" ~ late ~ ")"
) | map(attribute=0) | list if progress %}

with

landed as (

    select * from {{ landed }}

),

snapshots as (

    select * from {{ snapshots }}
    where table_name = 'loan_applications'

),

claims as (

    select
        if(unreadable is null, claim, 'unreadable ' || claim) as claim,
        application_id,
        is_deleted,
        lsn,
        tx_id,
        snapshot_id,
        cast(null as varchar) as decided_by,
        changed_at,
        known_at,
        {{ loan_attributes() }}
    from landed
    where claim in ('event', 'row', 'truncate')
    {% if late_snapshots %}
        union all
        select
            if(again.unreadable is null, 'row', 'unreadable row') as claim,
            again.application_id,
            false as is_deleted,
            cast(null as bigint) as lsn,
            cast(null as bigint) as tx_id,
            snapshots.snapshot_id,
            cast(null as varchar) as decided_by,
            cast(null as timestamp(6) with time zone) as changed_at,
            snapshots.taken_at as known_at,
            {{ loan_attributes('again') }}
        from {{ rows_in_bronze }} as again
        inner join snapshots
            on
                again.dt = snapshots.dt
                and again._snapshot_id = snapshots.snapshot_id
        where
            snapshots.snapshot_id in ('{{ late_snapshots | join("', '") }}')
            and exists (
                select 1 from ({{ late }}) as late
                where
                    late.snapshot_id = snapshots.snapshot_id
                    and coalesce(late.application_id, again.application_id)
                    = again.application_id
            )
    {% endif %}
    {% if state %}
        union all
        select
            'known' as claim,
            application_id,
            outcome = 'deleted' as is_deleted,
            _lsn as lsn,
            _tx_id as tx_id,
            _snapshot_id as snapshot_id,
            _decided_by as decided_by,
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
            cast(null as varchar) as decided_by,
            cast(null as timestamp(6) with time zone) as changed_at,
            known_at,
            {{ no_attributes }}
        from {{ unreadable }}
        where snapshot_id is not null
    {% endif %}

),

-- What the full snapshots of this run may not have.
asked as (

    select distinct
        claims.application_id,
        snapshots.snapshot_id
    from claims
    cross join snapshots
    where
        claims.application_id is not null
        and snapshots.snapshot_mode = 'full'
        {% if progress %}
            and snapshots.snapshot_id not in (
                select progress.input_id from {{ progress }} as progress
            )
        {% endif %}
    {% if late_snapshots %}
        union
        select
            claims.application_id,
            late.snapshot_id
        from claims
        inner join ({{ late }}) as late
            on
                claims.application_id
                = coalesce(late.application_id, claims.application_id)
    {% endif %}

),

absences as (

    select
        'absence' as claim,
        asked.application_id,
        true as is_deleted,
        cast(null as bigint) as lsn,
        cast(null as bigint) as tx_id,
        asked.snapshot_id,
        cast(null as varchar) as decided_by,
        cast(null as timestamp(6) with time zone) as changed_at,
        snapshots.taken_at as known_at,
        {{ no_attributes }}
    from asked
    inner join snapshots on asked.snapshot_id = snapshots.snapshot_id
    left join claims
        on
            asked.application_id = claims.application_id
            and asked.snapshot_id = claims.snapshot_id
            and claims.claim in ('row', 'unreadable row')
    where claims.application_id is null

)

select * from claims
union all
select * from absences
