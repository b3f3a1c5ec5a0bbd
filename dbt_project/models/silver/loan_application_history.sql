with

versions as (

    select * from {{ ref('int_loan_applications__versions') }}

),

truncates as (

    select array_agg(distinct row(lsn, tx_id, changed_at)) as all_of_them
    from {{ ref('int_loan_applications__landed') }}
    where claim = 'truncate'

),

-- Events that were written before a snapshot was taken but committed after it.
unseen as (

    select
        batch.application_id,
        batch.version_id,
        min(event.lsn) as first_lsn
    from versions as batch
    inner join versions as event
        on
            batch.application_id = event.application_id
            and batch.lsn > event.lsn
    where
        batch.tx_id is null
        and event.tx_id is not null
        and not {{ is_visible('event.tx_id', 'batch') }}
    group by batch.application_id, batch.version_id

),

-- A batch row lies before them.
positioned as (

    select
        versions.*,
        coalesce(unseen.first_lsn, versions.lsn) as log_position,
        filter(
            coalesce(truncates.all_of_them, array[]),
            t -> if(
                versions.tx_id is null,
                not {{ is_visible('t[2]', 'versions') }},
                t[1] > versions.lsn
            )
        ) as later_truncates
    from versions
    left join unseen
        on
            versions.application_id = unseen.application_id
            and versions.version_id = unseen.version_id
    cross join truncates

),

-- The source's clock may be set back; time in the history only goes forward.
timed as (

    select
        *,
        max(changed_at) over (
            partition by application_id
            order by log_position, tx_id is not null
        ) as valid_from,
        array_min(transform(later_truncates, t -> t[3])) as truncated_at
    from positioned

),

followed as (

    select
        *,
        lead(valid_from) over (
            partition by application_id
            order by log_position, tx_id is not null
        ) as next_valid_from
    from timed

),

history as (

    select
        ---------- ids
        application_id,
        version_id,

        ---------- attributes
        {{ loan_attributes() }},

        ---------- from when to when, in the source
        valid_from,
        least(
            coalesce(next_valid_from, truncated_at),
            coalesce(truncated_at, next_valid_from)
        ) as valid_to,

        ---------- since when here
        known_at as _known_at

    from followed
    where not is_deleted

)

select * from history
