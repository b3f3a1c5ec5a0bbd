-- Every current application is either accepted or rejected, and never both.
with

decided as (

    select
        application_id,
        'accepted' as outcome
    from {{ ref('loan_applications') }}
    union all
    select
        application_id,
        'rejected' as outcome
    from {{ ref('rejected_loan_applications') }}

)

select
    applications.application_id as current_id,
    decided.application_id as decided_id,
    array_agg(decided.outcome) as outcomes
from {{ ref('int_loan_applications__current') }} as applications
full outer join decided
    on applications.application_id = decided.application_id
group by applications.application_id, decided.application_id
having
    count(*) > 1
    or applications.application_id is null
    or decided.application_id is null
