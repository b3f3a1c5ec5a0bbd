with

applications as (

    select * from {{ ref('int_loan_applications__state') }}

),

accepted as (

    select
        ---------- ids
        application_id,

        ---------- applicant
        person_age,
        person_gender,
        person_education,
        person_income,
        person_emp_exp,
        person_home_ownership,

        ---------- loan
        loan_amnt,
        loan_intent,
        loan_int_rate,
        loan_percent_income,

        ---------- credit history
        cb_person_cred_hist_length,
        credit_score,
        previous_loan_defaults_on_file,

        ---------- decision
        loan_status,

        ---------- timestamps
        created_at,
        updated_at,

        ---------- lineage
        _version_id,
        _known_at

    from applications
    where outcome = 'accepted'

)

select * from accepted
