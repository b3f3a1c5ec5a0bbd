-- The mart's segments add up to silver: no application fell between two.
with

silver as (

    select
        count(*) as applications,
        count_if(loan_status = 1) as approvals
    from {{ ref('loan_applications') }}

),

mart as (

    select
        coalesce(sum(applications), 0) as applications,
        coalesce(sum(approvals), 0) as approvals
    from {{ ref('approvals_by_day_and_purpose') }}

)

select
    silver.applications as silver_applications,
    mart.applications as mart_applications,
    silver.approvals as silver_approvals,
    mart.approvals as mart_approvals
from silver
cross join mart
where
    silver.applications != mart.applications
    or silver.approvals != mart.approvals
