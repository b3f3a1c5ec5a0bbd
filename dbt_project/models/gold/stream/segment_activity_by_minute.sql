with

applications as (

    select * from {{ ref('loan_applications') }}

),

by_minute as (

    select
        ---------- key
        segments.name as segment,
        date_trunc('minute', applications.created_at) as created_minute,

        ---------- figures
        count(*) as applications,
        count_if(applications.loan_status = 1) as approved,
        sum(applications.loan_amnt) as total_amount

    from applications
    cross join unnest({{ activity_segments() }}) as segments (name)
    group by 1, 2

)

select * from by_minute
