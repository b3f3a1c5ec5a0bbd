with

applications as (

    select * from {{ ref('loan_applications') }}

),

features as (

    select
        ---------- entity
        application_id,

        ---------- timestamps
        updated_at as event_timestamp,
        _known_at as created_timestamp,

        ---------- features
        cast(loan_amnt as double) as loan_amount,
        loan_intent as loan_purpose,
        cast(loan_int_rate as double) as interest_rate_percent,
        {{ to_percent('loan_percent_income') }} as loan_to_income_percent

    from applications

)

select * from features
