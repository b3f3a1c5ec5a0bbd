with

source as (

    select * from {{ source('bronze', 'loan_applications') }}

),

renamed as (

    select
        ---------- ids
        application_id,
        _snapshot_id,

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
        cast(loan_status as integer) as loan_status,

        ---------- timestamps
        if(
            {{ is_readable_time('created_at') }},
            with_timezone(created_at, 'UTC')
        ) as created_at,
        if(
            {{ is_readable_time('updated_at') }},
            with_timezone(updated_at, 'UTC')
        ) as updated_at,

        ---------- quality
        if(
            _unreadable is not null
            or not {{ is_readable_time('created_at') }}
            or not {{ is_readable_time('updated_at') }},
            {{ unreadable_in_row('_unreadable', loan_columns()) }}
        ) as unreadable,

        ---------- partition
        dt

    from source

)

select * from renamed
