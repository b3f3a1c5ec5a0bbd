{#- The constants in this view are the processed offsets: every run replaces it
    after the state, and a run that fails before leaves a view that reads more
    than it must and is still correct.

    It is the rule of truth (macros/decide.sql) again, for the one case that the
    state is known and only events are new, since planning the whole rule takes
    longer than running this. -#}
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

newest_full as (

    select max(snapshot_id) as snapshot_id
    from snapshots
    where snapshot_mode = 'full'

),

truncates as (

    select
        lsn,
        tx_id
    from changes
    where claim = 'truncate'
    union all
    select
        lsn,
        tx_id
    from {{ ref('int_loan_applications__landed') }}
    where claim = 'truncate'

),

newest_truncate as (

    select
        coalesce(max(lsn), -1) as lsn,
        max_by(tx_id, lsn) as tx_id
    from truncates

),

ranked_changes as (

    select
        *,
        row_number() over (
            partition by application_id
            order by lsn desc
        ) as age
    from changes
    where claim = 'event' and unreadable is null

),

-- A full snapshot in which an application's row cannot be read does not say
-- that it is gone.
unreadable_rows as (

    select
        application_id,
        max(snapshot_id) as snapshot_id
    from {{ ref('int_loan_applications__unreadable') }}
    where snapshot_id is not null
    group by application_id

),

accepted_values as (

    select multimap_agg(attribute, value) as accepted
    from {{ ref('accepted_values') }}

),

newest_changes as (

    select
        ranked_changes.*,
        not ranked_changes.is_deleted
        and cardinality(
            {{ broken_rules(var('loan_application_rules'), 'reject') }}
        ) = 0 as is_accepted
    from ranked_changes
    cross join accepted_values
    where ranked_changes.age = 1

),

-- Of each application, the newest of the three by WAL position is valid, if
-- the newest snapshot with a claim about the application does not see it.
judged as (

    select
        coalesce(state.application_id, change.application_id)
            as application_id,
        coalesce(
            change.lsn > coalesce(state._lsn, -1)
            and change.lsn > newest_truncate.lsn
            and not {{ is_visible('change.tx_id', 'snapshots') }},
            false
        ) as is_changed,
        newest_truncate.lsn > coalesce(state._lsn, -1)
        and newest_truncate.lsn > coalesce(change.lsn, -1)
        and not {{ is_visible('newest_truncate.tx_id', 'snapshots') }}
            as is_truncated,
        state.outcome = 'accepted' as was_accepted,
        change.is_accepted,
        {{ loan_attributes('state') }},
        state._version_id,
        state._known_at,
        {{ loan_attributes('change', prefix='changed_') }},
        change.lsn,
        change.known_at
    from state
    full outer join newest_changes as change
        on state.application_id = change.application_id
    cross join newest_truncate
    cross join newest_full
    left join unreadable_rows
        on change.application_id = unreadable_rows.application_id
    left join snapshots
        on
            coalesce(
                state._snapshot_id,
                if(
                    newest_full.snapshot_id
                    > coalesce(unreadable_rows.snapshot_id, ''),
                    newest_full.snapshot_id
                )
            )
            = snapshots.snapshot_id

),

live as (

    select
        ---------- ids
        application_id,

        ---------- attributes
        {{ loan_attributes(unless='is_changed', otherwise='changed_') }},

        ---------- lineage
        if(is_changed, lpad(cast(lsn as varchar), 20, '0'), _version_id)
            as _version_id,
        if(is_changed, known_at, _known_at) as _known_at

    from judged
    where not is_truncated and if(is_changed, is_accepted, was_accepted)

)

select * from live
