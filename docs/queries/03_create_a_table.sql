-- A table out of a query. It may be run again: the table is replaced, and what
-- it was is kept as a snapshot (06_time_travel.sql).
create or replace table sandbox_credit.large_loans as
select
    application_id,
    loan_purpose,
    loan_amount
from gold.loan_features
where loan_amount >= 20000;

select
    loan_purpose,
    count(*) as large_loans
from sandbox_credit.large_loans
group by loan_purpose
order by large_loans desc;
