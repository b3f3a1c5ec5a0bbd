with

history as (

    select * from {{ ref('historical_features') }}

),

features as (

    select
        ---------- entity
        application_id,

        ---------- timestamps
        event_timestamp,
        created_timestamp,

        ---------- features
        loan_amount,
        loan_purpose,
        interest_rate_percent,
        loan_to_income_percent

    from history
    where is_current

)

select * from features
