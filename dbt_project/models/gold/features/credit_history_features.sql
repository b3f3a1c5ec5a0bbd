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
        cast(credit_score as bigint) as credit_score,
        {{ band('credit_score', var('bands').credit_score) }}
            as credit_score_band,
        cast(cb_person_cred_hist_length as bigint) as credit_history_years,
        -- Decides loan_status by itself: see the description.
        previous_loan_defaults_on_file = 'Yes' as has_previous_default

    from applications

)

select * from features
