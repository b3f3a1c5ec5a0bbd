-- `loan_applications` is as of dbt's last run. `loan_applications_live` lays
-- over it the stream's changes since then. What is new, changed or deleted?
select
    case
        when silver.application_id is null then 'new'
        when live.application_id is null then 'gone'
        else 'changed'
    end as since_the_last_run,
    count(*) as applications
from silver.loan_applications_live as live
full outer join silver.loan_applications as silver
    on live.application_id = silver.application_id
where live._version_id is distinct from silver._version_id
group by 1
order by 1;
