with

applications as (

    select * from {{ ref('stg_loan_applications_batch') }}

),

snapshots as (

    select * from {{ ref('int_batch_snapshots__current') }}
    where table_name = 'loan_applications'

),

-- The join drops what has no manifest or is older than the newest full one.
-- Its dt reads as redundant and is not: through it Trino learns which few of
-- bronze's partitions it has to list.
versions as (

    select
        applications.*,
        snapshots.snapshot_number,
        snapshots.taken_at as _known_at
    from applications
    inner join snapshots
        on
            applications.dt = snapshots.dt
            and applications._snapshot_id = snapshots.snapshot_id

),

numbered as (

    select
        *,
        row_number() over (
            partition by application_id
            order by snapshot_number desc, updated_at desc
        ) as version_number
    from versions

),

checked as (

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
        _snapshot_id,
        _known_at,

        ---------- quality
        {{ broken_rules(var('loan_application_rules'), 'reject') }}
            as broken_rules

    from numbered
    where version_number = 1

)

select * from checked
