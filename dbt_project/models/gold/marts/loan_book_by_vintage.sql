with

applications as (

    select
        *,
        cast(date_trunc('month', created_at) as date) as application_month
    from {{ ref('loan_applications') }}

),

by_vintage as (

    select
        ---------- vintage
        application_month,
        if(loan_status = 1, 'approved', 'declined') as decision,

        ---------- volume
        count(*) as applications,
        cast(
            100.0 * count(*) / sum(count(*)) over (
                partition by application_month
            ) as double
        ) as share_of_month_percent,
        sum(cast(loan_amnt as double)) as total_loan_amount,

        ---------- terms
        {{ percentile('loan_amnt', 50) }} as median_loan_amount,
        {{ percentile('loan_amnt', 90) }} as p90_loan_amount,
        avg(cast(loan_int_rate as double)) as average_interest_rate_percent,

        ---------- risk
        {{ percentile('credit_score', 10) }} as p10_credit_score,
        {{ percentile('credit_score', 50) }} as median_credit_score,
        {{ to_percent('avg(cast(loan_percent_income as double))') }}
            as average_loan_to_income_percent

    from applications
    group by application_month, loan_status

)

select * from by_vintage
