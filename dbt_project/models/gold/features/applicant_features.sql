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
        age_years,
        gender,
        education,
        annual_income,
        employment_years,
        home_ownership

    from history
    where is_current

)

select * from features
