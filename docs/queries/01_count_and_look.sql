-- Ctrl+Enter runs the statement that the cursor is in, Alt+X the whole script.
show tables from gold;

-- Ctrl+Space completes the names of tables and columns.
select count(*) as applications
from gold.loan_features;

-- What do people borrow for, and at what rate?
select
    loan_purpose,
    count(*) as applications,
    round(avg(loan_amount)) as average_amount,
    round(avg(interest_rate_percent), 2) as average_rate_percent
from gold.loan_features
group by loan_purpose
order by applications desc;
