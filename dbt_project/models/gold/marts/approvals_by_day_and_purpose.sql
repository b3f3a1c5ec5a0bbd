with

applications as (

    select * from {{ ref('loan_applications') }}

),

by_day_and_purpose as (

    select
        ---------- segment
        cast(created_at as date) as application_date,
        loan_intent as loan_purpose,

        ---------- volume
        count(*) as applications,
        count_if(loan_status = 1) as approvals,
        {{ to_percent('avg(loan_status)') }} as approval_rate_percent,

        ---------- averages
        avg(cast(loan_amnt as double)) as average_loan_amount,
        avg(cast(loan_int_rate as double)) as average_interest_rate_percent

    from applications
    group by cast(created_at as date), loan_intent

)

select * from by_day_and_purpose
