-- Each row is a test; where `failures` is not 0, it has failed.
select
    'every loan has an application' as test,
    count_if(application_id is null) as failures
from sandbox_credit.large_loans
union all
select
    'no application is there twice' as test,
    count(*) - count(distinct application_id) as failures
from sandbox_credit.large_loans
union all
select
    'every loan is large' as test,
    count_if(loan_amount is null or loan_amount < 20000) as failures
from sandbox_credit.large_loans
union all
select
    'gold knows every loan' as test,
    count_if(gold.application_id is null) as failures
from sandbox_credit.large_loans as mine
left join gold.loan_features as gold
    on mine.application_id = gold.application_id;
