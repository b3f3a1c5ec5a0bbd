{#- What is known represents all older claims: these need not be read. -#}
{% do check_full_refresh(['int_loan_applications__landed']) %}

with

claims as (

    select * from {{ ref('int_loan_applications__claims') }}

),

snapshots as (

    select * from {{ ref('int_batch_snapshots__effective') }}
    where table_name = 'loan_applications'

),

truncate_claims as (

    select * from claims
    where claim = 'truncate'

),

-- Of an event that landed twice the first counts. What is known has the
-- position of the claim that decided it, and comes after this claim, should it
-- be among those of the run.
events as (

    select
        *,
        row_number() over (
            partition by application_id, lsn, claim
            order by known_at
        ) as repetition
    from claims
    where
        claim = 'event'
        or (claim = 'known' and decided_by = 'stream')

),

from_stream as (

    select
        application_id,
        if(
            claim = 'known', '~', lpad(cast(lsn as varchar), 20, '0')
        ) as version_id,
        is_deleted,
        {{ loan_attributes() }},
        changed_at,
        known_at,
        lsn,
        tx_id,
        cast(null as bigint) as snapshot_xmin,
        cast(null as bigint) as snapshot_xmax,
        cast(null as array(bigint)) as snapshot_xip,
        cast(null as varchar) as snapshot_mode
    from events
    where repetition = 1

),

from_batch as (

    select
        claims.application_id,
        if(claims.claim = 'known', '~', claims.snapshot_id) as version_id,
        claims.is_deleted,
        {{ loan_attributes('claims') }},
        -- The row may say any time of itself; it was true when it was seen.
        least(
            coalesce(claims.updated_at, snapshots.taken_at), snapshots.taken_at
        ) as changed_at,
        claims.known_at,
        snapshots.snapshot_lsn as lsn,
        cast(null as bigint) as tx_id,
        snapshots.snapshot_xmin,
        snapshots.snapshot_xmax,
        snapshots.snapshot_xip,
        snapshots.snapshot_mode
    from claims
    inner join snapshots on claims.snapshot_id = snapshots.snapshot_id
    where
        claims.claim in ('row', 'absence')
        or (claims.claim = 'known' and claims.decided_by = 'batch')

),

versions as (

    select * from from_stream
    union all
    select * from from_batch

),

{{ order_versions() }},

unreadable as (

    select distinct application_id
    from claims
    where claim in ('unreadable row', 'unreadable event')

),

placed as (

    select
        *,
        count_if(version_id = '~') over (
            partition by application_id
        ) as known,
        count_if(version_id = '~') over (
            partition by application_id
            order by log_position, tx_id is not null, version_id
        ) as known_before
    from ordered_versions

),

-- A repeat is left out only where no claim of before can come between it and
-- what it repeats, and where nothing is known earlier through it.
needed as (

    select *
    from placed
    where
        version_id != '~'
        and not (
            is_repeat
            and snapshot_mode = 'full'
            and known = known_before
            and application_id not in (
                select unreadable.application_id from unreadable
            )
            and coalesce(predecessor[3] <= known_at, true)
        )

),

new_versions as (

    select
        needed.application_id,
        needed.version_id,
        needed.is_deleted,
        {{ loan_attributes('needed') }},
        needed.changed_at,
        needed.known_at,
        needed.lsn,
        needed.tx_id,
        needed.snapshot_xmin,
        needed.snapshot_xmax,
        needed.snapshot_xip
    from needed
    {% if is_incremental() %}
        left join {{ this }} as stored
            on
                needed.application_id = stored.application_id
                and needed.version_id = stored.version_id
        where stored.application_id is null
    {% endif %}

)

select * from new_versions
