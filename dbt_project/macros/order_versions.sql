{#
    The versions of an application in the order in which they were valid in the source.

    The CTEs of a query that has `versions`, which has the columns of
    int_loan_applications__versions, and `truncate_claims`; the last of them,
    `ordered_versions`, has `log_position`, `later_truncates`, and `is_repeat`.

    - Events are in the order of the log. A batch row comes after the events that its
      snapshot sees and before all others, rows of two snapshots in the order of these.
    - A batch row that says what the claim before it says, and an absence of what is
      gone already, is a repeat: it is no version of its own, but the application may be
      known through it earlier than through the event that it repeats.

    So the history does not depend on when, how often and in which runs claims were folded in,
    as long as `versions` has every claim that is no repeat.
#}
{% macro order_versions() -%}
truncates as (

    select array_agg(distinct row(lsn, tx_id, changed_at, known_at)) as entries
    from truncate_claims

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

preceded as (

    select
        *,
        lag(row(
            is_deleted,
            cardinality(later_truncates),
            known_at,
            row({{ loan_attributes() }})
        )) over (
            partition by application_id
            order by log_position, tx_id is not null, version_id
        ) as predecessor
    from positioned

),

ordered_versions as (

    select
        *,
        tx_id is null
        and if(
            predecessor is null
            or predecessor[1]
            or predecessor[2] > cardinality(later_truncates),
            is_deleted,
            not is_deleted
            and row({{ loan_attributes() }})
            is not distinct from predecessor[4]
        ) as is_repeat
    from preceded

)
{%- endmacro %}

{#
    Without repeats, each version with the time since when it is known: the CTE
    `distinct_versions`, after those of order_versions().
#}
{% macro drop_repeats() -%}
grouped as (

    select
        *,
        count_if(not is_repeat) over (
            partition by application_id
            order by log_position, tx_id is not null, version_id
        ) as version_group
    from ordered_versions

),

known as (

    select
        *,
        min(known_at) over (
            partition by application_id, version_group
        ) as first_known_at
    from grouped

),

distinct_versions as (

    select *
    from known
    where not is_repeat

)
{%- endmacro %}
