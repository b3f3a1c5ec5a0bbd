{#
    The rule of truth: of all that is claimed of an application, what holds.

    The CTEs of a query that has `claims` (see int_loan_applications__claims) and
    `snapshots` (int_batch_snapshots__effective); the last of them, `decided`, has
    one row per application.

    - Among events the greatest lsn wins: a transaction locks the rows that it changes,
      so the order of the log is the order of the row's versions. A TRUNCATE is an
      event of every application.
    - Among batch rows the newest snapshot wins. The newest full one is a claim about
      every application: those that are missing in it were deleted.
    - An unreadable claim says nothing, except that one of a snapshot's row says that
      the application is there: it is not missing in a full snapshot.
    - Between the two: an event that the snapshot sees is older than the row, any
      other is newer. Their WAL positions do not decide: a change written before the
      snapshot may be committed after it.

    Each is the greatest of its kind, so neither the order of arrival nor
    repetition matters.
#}
{% macro decide() -%}
newest_truncate as (

    select
        max(lsn) as lsn,
        max_by(tx_id, lsn) as tx_id,
        max_by(changed_at, lsn) as changed_at
    from claims
    where claim = 'truncate'

),

newest_full as (

    select max(snapshot_id) as snapshot_id
    from snapshots
    where snapshot_mode = 'full'

),

unreadable_rows as (

    select
        application_id,
        max(snapshot_id) as snapshot_id
    from claims
    where claim = 'unreadable row'
    group by application_id

),

-- The previous decision represents its newest event and its newest row.
sided as (

    select
        claims.*,
        coalesce(side.side, if(claims.claim = 'event', 'stream', 'batch')) as side
    from claims
    left join unnest(if(claims.claim = 'known', array['stream', 'batch']))
        as side (side) on true
    where claims.claim in ('known', 'event', 'row')

),

ranked as (

    select
        *,
        row_number() over (
            partition by application_id, side
            order by
                if(side = 'stream', lsn) desc nulls last,
                if(side = 'batch', snapshot_id) desc nulls last,
                claim = 'known'
        ) as rank_on_side
    from sided

),

-- One or two claims per application, each with the positions of both sides.
newest as (

    select
        *,
        max(if(side = 'stream', lsn)) over by_application as event_lsn,
        max(if(side = 'stream', tx_id)) over by_application as event_tx_id,
        max(if(side = 'batch', snapshot_id)) over by_application
            as row_snapshot_id
    from ranked
    where rank_on_side = 1
    window by_application as (partition by application_id)

),

with_absence as (

    select
        newest.*,
        coalesce(
            newest_full.snapshot_id > coalesce(newest.row_snapshot_id, '')
            and newest_full.snapshot_id
            > coalesce(unreadable_rows.snapshot_id, ''),
            false
        ) as is_absent,
        newest_full.snapshot_id as newest_full_id
    from newest
    left join unreadable_rows
        on newest.application_id = unreadable_rows.application_id
    cross join newest_full

),

with_truncate as (

    select
        with_absence.*,
        newest_truncate.changed_at as truncated_at,
        coalesce(newest_truncate.lsn > coalesce(event_lsn, -1), false)
            as is_truncated,
        greatest(
            coalesce(newest_truncate.lsn, event_lsn),
            coalesce(event_lsn, newest_truncate.lsn)
        ) as key_lsn,
        if(
            newest_truncate.lsn > coalesce(event_lsn, -1),
            newest_truncate.tx_id, event_tx_id
        ) as key_tx_id,
        if(is_absent, newest_full_id, row_snapshot_id) as key_snapshot_id
    from with_absence
    cross join newest_truncate

),

judged as (

    select
        with_truncate.*,
        if(
            key_lsn is not null
            and not {{ is_visible('key_tx_id', 'snapshots') }},
            'stream', 'batch'
        ) as winner
    from with_truncate
    left join snapshots on key_snapshot_id = snapshots.snapshot_id

),

-- A side that wins by a TRUNCATE or by absence may have no claim of its own:
-- then the key comes from the other side's claim.
chosen as (

    select
        *,
        row_number() over (
            partition by application_id
            order by side = winner desc
        ) as choice,
        if(winner = 'stream', is_truncated, is_absent)
        or if(side = winner, is_deleted, true) as is_gone
    from judged

),

decided as (

    select
        application_id,
        winner as decided_by,
        is_gone,
        key_lsn,
        key_tx_id,
        key_snapshot_id,
        case
            when winner = 'stream' and is_truncated then truncated_at
            when winner = 'stream' then changed_at
        end as changed_at,
        {{ loan_attributes(unless='is_gone') }}
    from chosen
    where choice = 1

)
{%- endmacro %}
