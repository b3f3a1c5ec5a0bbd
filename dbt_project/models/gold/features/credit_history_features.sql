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
        credit_score,
        credit_score_band,
        credit_history_years,
        has_previous_default

    from history
    where is_current

)

select * from features
