{% do check_full_refresh(['int_loan_applications__landed']) %}
{% set before = remembered(this.identifier) if remembered_progress() %}

with

landed as (

    select * from {{ ref('int_loan_applications__landed') }}

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

newest_truncate as (

    select
        max(lsn) as lsn,
        max_by(tx_id, lsn) as tx_id
    from landed
    where claim = 'truncate'

),

found as (

    select
        application_id,
        lsn,
        tx_id,
        snapshot_id,
        known_at,
        unreadable
    from landed
    where unreadable is not null
    {% if before %}
        union all
        select * from {{ before }}
    {% endif %}

),

-- A record that landed twice, or that the run before has seen, is one claim.
claims as (

    select
        application_id,
        lsn,
        tx_id,
        snapshot_id,
        min(known_at) as known_at,
        arbitrary(unreadable) as unreadable
    from found
    group by application_id, lsn, tx_id, snapshot_id

),

with_newest_row as (

    select
        *,
        coalesce(max(snapshot_id) over (partition by application_id), '')
            as newest_row_id
    from claims

),

-- What is valid of the application, and whether that is newer than the claim:
-- then a readable claim has followed. Of an application that never had one, a
-- TRUNCATE and a full snapshot without it are all that may have followed.
judged as (

    select
        claim.*,
        case
            when state.application_id is null and claim.snapshot_id is null
                then
                    coalesce(newest_truncate.lsn > claim.lsn, false)
                    or (
                        newest_full.snapshot_id > claim.newest_row_id
                        and {{ is_visible('claim.tx_id', 'valid') }}
                    )
            when state.application_id is null
                then
                    newest_full.snapshot_id > claim.newest_row_id
                    or (
                        newest_truncate.lsn is not null
                        and not {{ is_visible('newest_truncate.tx_id', 'own') }}
                    )
            when state._decided_by = 'stream' and claim.snapshot_id is null
                then state._lsn > claim.lsn
            when state._decided_by = 'stream'
                then not {{ is_visible('state._tx_id', 'own') }}
            when claim.snapshot_id is null
                then {{ is_visible('claim.tx_id', 'valid') }}
            else state._snapshot_id > claim.snapshot_id
        end as is_superseded
    from with_newest_row as claim
    cross join newest_full
    cross join newest_truncate
    left join state on claim.application_id = state.application_id
    left join snapshots as own on claim.snapshot_id = own.snapshot_id
    left join snapshots as valid
        on
            coalesce(state._snapshot_id, newest_full.snapshot_id)
            = valid.snapshot_id

),

open_claims as (

    select
        ---------- ids
        application_id,

        ---------- position in the source's history
        lsn,
        tx_id,
        snapshot_id,

        ---------- timestamps
        known_at,

        ---------- quality
        unreadable

    from judged
    where not coalesce(is_superseded, false)

)

select * from open_claims
