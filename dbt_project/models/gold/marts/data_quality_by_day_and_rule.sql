with

applications as (

    select created_at from {{ ref('loan_applications') }}
    union all
    select created_at from {{ ref('rejected_loan_applications') }}

),

broken_rules as (

    select * from {{ ref('loan_application_broken_rules') }}

),

applications_by_day as (

    select
        cast(created_at as date) as application_date,
        count(*) as applications
    from applications
    group by cast(created_at as date)

),

broken_by_day as (

    select
        cast(created_at as date) as application_date,
        rule_name,
        severity,
        count(*) as applications
    from broken_rules
    group by cast(created_at as date), rule_name, severity

),

by_day_and_rule as (

    select
        ---------- what was broken when
        broken_by_day.application_date,
        broken_by_day.rule_name,
        broken_by_day.severity,

        ---------- volume
        broken_by_day.applications as broken_applications,
        applications_by_day.applications,
        cast(
            100.0 * broken_by_day.applications
            / applications_by_day.applications as double
        ) as broken_percent

    from broken_by_day
    inner join applications_by_day
        on
            broken_by_day.application_date
            = applications_by_day.application_date

)

select * from by_day_and_rule
