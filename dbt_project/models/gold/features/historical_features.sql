with

history as (

    select * from {{ ref('loan_application_history') }}

),

-- One entry per event: the start of a version, or its end if none follows.
entries as (

    select
        *,
        valid_from as event_timestamp,
        _known_at as created_timestamp,
        valid_to is null as is_newest,
        is_accepted as has_features,
        1 as place
    from history

    union all

    select
        *,
        valid_to as event_timestamp,
        _gone_known_at as created_timestamp,
        false as is_newest,
        false as has_features,
        2 as place
    from history
    where _gone_known_at is not null

),

-- Of several events at the same time the last one is valid, once it is known.
ordered as (

    select
        *,
        min(created_timestamp) over (
            partition by application_id, event_timestamp
            order by version_number, place
            rows between 1 following and unbounded following
        ) as superseded_at
    from entries

),

effective as (

    select *
    from ordered
    where
        superseded_at is null
        or created_timestamp < superseded_at

),

features as (

    select
        ---------- entity
        application_id,

        ---------- timestamps
        event_timestamp,
        created_timestamp,

        ---------- applicant
        if(has_features, cast(person_age as bigint)) as age_years,
        if(has_features, person_gender) as gender,
        if(has_features, person_education) as education,
        if(has_features, cast(person_income as double)) as annual_income,
        if(has_features, cast(person_emp_exp as bigint)) as employment_years,
        if(has_features, person_home_ownership) as home_ownership,

        ---------- loan
        if(has_features, cast(loan_amnt as double)) as loan_amount,
        if(has_features, loan_intent) as loan_purpose,
        if(has_features, cast(loan_int_rate as double))
            as interest_rate_percent,
        if(has_features, {{ to_percent('loan_percent_income') }})
            as loan_to_income_percent,

        ---------- credit history
        if(has_features, cast(credit_score as bigint)) as credit_score,
        if(has_features, {{ band('credit_score', var('bands').credit_score) }})
            as credit_score_band,
        if(has_features, cast(cb_person_cred_hist_length as bigint))
            as credit_history_years,
        -- Decides loan_status by itself: see the description.
        if(has_features, previous_loan_defaults_on_file = 'Yes')
            as has_previous_default,

        ---------- state
        has_features and is_newest as is_current

    from effective

)

select * from features
