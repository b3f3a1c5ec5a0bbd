with

landed as (

    select * from {{ ref('int_loan_applications__landed') }}

),

state as (

    select * from {{ ref('int_loan_applications__state') }}

),

changes as (

    select
        *,
        date_diff('millisecond', changed_at, known_at) / 1e3 as seconds_to_land,
        date_diff(
            'millisecond', changed_at, current_timestamp
        ) / 1e3 as seconds_to_silver
    from landed
    where claim = 'event'

),

counted as (

    select
        count_if(claim = 'row') as batch_rows,
        count_if(claim = 'event') as changes,
        count_if(claim in ('dead letter', 'without key')) as unreadable_records,
        count(distinct application_id) as applications
    from landed

),

-- The applications whose landed change is their current version.
merged as (

    select count(distinct state.application_id) as applications
    from state
    inner join landed
        on
            state.application_id = landed.application_id
            and state._known_at = landed.known_at

),

timed as (

    select
        max(changed_at) as newest_change_at,
        {{ percentile('seconds_to_land', 50) }} as median_seconds_to_land,
        max(seconds_to_land) as greatest_seconds_to_land,
        {{ percentile('seconds_to_silver', 50) }} as median_seconds_to_silver,
        max(seconds_to_silver) as greatest_seconds_to_silver
    from changes

),

runs as (

    select
        ---------- ids
        cast('{{ invocation_id }}' as varchar) as run_id,

        ---------- timestamps
        current_timestamp(6) as merged_at,
        timed.newest_change_at,

        ---------- volume
        counted.batch_rows as batch_rows_landed,
        counted.changes as changes_landed,
        counted.unreadable_records,
        counted.applications as applications_landed,
        merged.applications as applications_merged,

        ---------- freshness
        timed.median_seconds_to_land,
        timed.greatest_seconds_to_land,
        timed.median_seconds_to_silver,
        timed.greatest_seconds_to_silver

    from counted
    cross join merged
    cross join timed

)

select * from runs
