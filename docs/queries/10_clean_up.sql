drop table if exists sandbox_credit.large_loans;

drop schema if exists sandbox_credit;

show schemas like 'sandbox%';
