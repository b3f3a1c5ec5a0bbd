with

history as (

    select
        *,
        date_trunc('minute', created_at) as created_minute,
        coalesce(
            _gone_known_at,
            lead(_known_at) over (
                partition by application_id
                order by version_number
            )
        ) as ended_known_at
    from {{ ref('loan_application_history') }}

),

-- A version is counted in a window from when it is valid on and its minute has
-- come, until it is not valid any more or its minute has left the window.
counted as (

    select
        segments.name as segment,
        windows.minutes,
        history.loan_status,
        history.loan_amnt,
        history.valid_to,
        history._known_at,
        history.ended_known_at,
        greatest(history.valid_from, history.created_minute) as counted_from,
        least(
            coalesce(history.valid_to, timestamp '9999-12-31 UTC'),
            history.created_minute + windows.minutes * interval '1' minute
        ) as counted_to
    from history
    cross join unnest({{ activity_segments() }}) as segments (name)
    cross join
        unnest(array{{ var('activity_windows').values() | list }})
            as windows (minutes)
    where
        history.is_accepted
        -- In no window: most versions, for they are of older applications.
        and history.valid_from
        < history.created_minute
        + {{ var('activity_windows').values() | max }} * interval '1' minute

),

changes as (

    select
        segment,
        minutes,
        counted_from as event_timestamp,
        _known_at as known_at,
        1 as applications,
        if(loan_status = 1, 1, 0) as approved,
        loan_amnt as amount
    from counted
    where counted_from < counted_to

    union all

    select
        segment,
        minutes,
        counted_to as event_timestamp,
        if(counted_to = valid_to, ended_known_at, _known_at) as known_at,
        -1 as applications,
        if(loan_status = 1, -1, 0) as approved,
        -loan_amnt as amount
    from counted
    where counted_from < counted_to

),

by_moment as (

    select
        segment,
        event_timestamp,
        {% for window, minutes in var('activity_windows').items() %}
            sum(if(minutes = {{ minutes }}, applications, 0))
                as applications_{{ window }},
            sum(if(minutes = {{ minutes }}, approved, 0))
                as approved_{{ window }},
            sum(if(minutes = {{ minutes }}, amount, 0)) as amount_{{ window }},
        {% endfor %}
        max(known_at) as known_at
    from changes
    group by segment, event_timestamp

),

running as (

    select
        segment,
        event_timestamp,
        {% for window in var('activity_windows') %}
            sum(applications_{{ window }}) over so_far
                as applications_{{ window }},
            sum(approved_{{ window }}) over so_far as approved_{{ window }},
            sum(amount_{{ window }}) over so_far as amount_{{ window }},
        {% endfor %}
        max(known_at) over so_far as known_at
    from by_moment
    window so_far as (partition by segment order by event_timestamp)

),

activity as (

    select
        ---------- entity
        segment,

        ---------- timestamps
        event_timestamp,
        greatest(event_timestamp, known_at) as created_timestamp,

        ---------- features
    {% for window in var('activity_windows') %}
        applications_{{ window }},
        cast(amount_{{ window }} as double) as total_amount_{{ window }},
        if(
            applications_{{ window }} > 0,
            cast(amount_{{ window }} as double)
            / applications_{{ window }}
        ) as average_amount_{{ window }},
        if(
            applications_{{ window }} > 0,
            100 * cast(approved_{{ window }} as double)
            / applications_{{ window }}
        ) as approval_rate_percent_{{ window }}
        {{- ',' if not loop.last }}
    {% endfor %}
    from running

)

select * from activity
