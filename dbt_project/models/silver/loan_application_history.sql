with

versions as (

    select * from {{ ref('int_loan_applications__versions') }}

),

truncates as (

    select array_agg(distinct row(lsn, tx_id, changed_at, known_at)) as entries
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

-- A batch row comes before them.
positioned as (

    select
        versions.*,
        coalesce(unseen.first_lsn, versions.lsn) as log_position,
        filter(
            coalesce(truncates.entries, array[]),
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

-- The source's clock may be set back; times in the history never decrease.
timed as (

    select
        *,
        max(changed_at) over (
            partition by application_id
            order by log_position, tx_id is not null
        ) as valid_from,
        row_number() over (
            partition by application_id
            order by log_position, tx_id is not null
        ) as version_number,
        array_min(transform(later_truncates, t -> t[3])) as truncated_at
    from positioned

),

followed as (

    select
        *,
        lead(row(valid_from, known_at, is_deleted)) over (
            partition by application_id
            order by version_number
        ) as successor,
        array_min(
            transform(
                filter(later_truncates, t -> t[3] = truncated_at), t -> t[4]
            )
        ) as truncate_known_at
    from timed

),

accepted_values as (

    select multimap_agg(attribute, value) as accepted
    from {{ ref('accepted_values') }}

),

checked as (

    select
        followed.*,
        cardinality(
            {{ broken_rules(var('loan_application_rules'), 'reject') }}
        ) = 0 as is_accepted
    from followed
    cross join accepted_values

),

history as (

    select
        ---------- ids
        application_id,
        version_id,
        version_number,

        ---------- attributes
        {{ loan_attributes() }},

        ---------- quality
        is_accepted,

        ---------- from when to when, in the source
        valid_from,
        least(
            coalesce(successor[1], truncated_at),
            coalesce(truncated_at, successor[1])
        ) as valid_to,

        ---------- since when here
        known_at as _known_at,
        case
            when truncated_at <= coalesce(successor[1], truncated_at)
                then truncate_known_at
            when successor[3] then successor[2]
        end as _gone_known_at

    from checked
    where not is_deleted

)

select * from history
