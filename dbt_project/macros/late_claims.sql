{#
    A query: the folded full snapshots that landed claims come before, as pairs of
    application_id (null: all) and snapshot_id.

    A full snapshot has a claim about every application, of which the versions keep
    those that are no repeats. When a claim lands that comes before a folded snapshot, the
    row of that snapshot may be no repeat any more: the run reads it from bronze again.
    Only the first snapshot after the claim is concerned, since later ones repeat it.
#}
{% macro late_claims(landed, snapshots, progress) -%}
with

folded as (

    select * from {{ snapshots }}
    where
        table_name = 'loan_applications'
        and snapshot_mode = 'full'
        and snapshot_id in (select input_id from {{ progress }})

),

changes as (

    select
        application_id,
        lsn,
        tx_id
    from {{ landed }}
    where
        claim = 'event'
        or (
            claim = 'truncate'
            and cast(lsn as varchar) not in (
                select input_id from {{ progress }}
            )
        )

),

first_change as (

    select min(lsn) as lsn from changes

),

-- What a snapshot sees was written before it was taken.
after_change as (

    select
        changes.application_id,
        min(folded.snapshot_id) as snapshot_id
    from changes
    inner join (
        select folded.* from folded
        inner join first_change on folded.snapshot_lsn > first_change.lsn
    ) as folded
        on
            folded.snapshot_lsn > changes.lsn
            and {{ is_visible('changes.tx_id', 'folded') }}
    group by changes.application_id, changes.lsn

),

after_snapshot as (

    select
        new.snapshot_id as own_id,
        new.snapshot_mode,
        min(folded.snapshot_id) as snapshot_id
    from {{ snapshots }} as new
    inner join folded on new.snapshot_id < folded.snapshot_id
    where
        new.table_name = 'loan_applications'
        and new.snapshot_id not in (select input_id from {{ progress }})
    group by new.snapshot_id, new.snapshot_mode

)

select
    application_id,
    snapshot_id
from after_change
union
select
    cast(null as bigint) as application_id,
    snapshot_id
from after_snapshot
where snapshot_mode = 'full'
union
select
    landed.application_id,
    after_snapshot.snapshot_id
from {{ landed }} as landed
inner join after_snapshot on landed.snapshot_id = after_snapshot.own_id
{%- endmacro %}
