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
        cast(person_age as bigint) as age_years,
        person_gender as gender,
        person_education as education,
        cast(person_income as double) as annual_income,
        cast(person_emp_exp as bigint) as employment_years,
        person_home_ownership as home_ownership

    from applications

)

select * from features
