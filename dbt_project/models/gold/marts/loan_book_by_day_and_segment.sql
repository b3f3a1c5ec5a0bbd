with

applications as (

    select
        cast(created_at as date) as application_date,
        loan_intent as purpose,
        person_home_ownership as home_ownership,
        {{ band('credit_score', var('bands').credit_score) }}
            as credit_score_band,
        {{ band('person_income', var('bands').annual_income) }}
            as income_band,
        loan_amnt,
        loan_int_rate,
        loan_status
    from {{ ref('loan_applications') }}

),

-- Each application once in the total and once in each kind of segment.
by_day_and_segment as (

    select
        ---------- segment
        application_date,
        case
            when grouping(purpose) = 0 then 'purpose'
            when grouping(home_ownership) = 0 then 'home ownership'
            when grouping(credit_score_band) = 0 then 'credit score'
            when grouping(income_band) = 0 then 'income'
            else 'total'
        end as segment_kind,
        coalesce(
            purpose, home_ownership, credit_score_band, income_band, 'all'
        ) as segment,

        ---------- volume
        count(*) as applications,
        count_if(loan_status = 1) as approvals,
        {{ to_percent('avg(loan_status)') }} as approval_rate_percent,

        ---------- terms
        sum(cast(loan_amnt as double)) as total_loan_amount,
        avg(cast(loan_amnt as double)) as average_loan_amount,
        avg(cast(loan_int_rate as double)) as average_interest_rate_percent

    from applications
    group by
        grouping sets (
            (application_date),
            (application_date, purpose),
            (application_date, home_ownership),
            (application_date, credit_score_band),
            (application_date, income_band)
        )

)

select * from by_day_and_segment
