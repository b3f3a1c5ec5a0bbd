with

claims as (

    select * from {{ ref('int_loan_applications__unreadable') }}

),

by_column as (

    select
        'loan_applications' as table_name,
        cast(claims.application_id as varchar) as row_key,
        wrong.column_name,
        wrong.reason,
        coalesce(
            claims.snapshot_id, 'log position ' || cast(claims.lsn as varchar)
        ) as position_in_source,
        claims.known_at
    from claims
    cross join unnest(claims.unreadable) as wrong (column_name, reason)

),

-- The newest of several; it cannot be read since the first of them.
newest as (

    select
        ---------- ids
        table_name,
        row_key,
        column_name,

        ---------- what is wrong
        max_by(reason, known_at) as reason,
        max_by(position_in_source, known_at) as position_in_source,

        ---------- timestamps
        min(known_at) as unreadable_since

    from by_column
    group by table_name, row_key, column_name

)

select * from newest
