-- One query over PostgreSQL, as it is this second, and gold: how far is gold
-- behind? (A rejected application never comes to gold.)
select
    count(*) as in_the_source,
    count(gold.application_id) as in_gold,
    count_if(source.updated_at > gold.event_timestamp) as changed_since,
    count_if(gold.application_id is null) as not_in_gold
from source.public.loan_applications as source
left join gold.loan_features as gold
    on source.application_id = gold.application_id;

-- Only the rows that pass the filter leave PostgreSQL: EXPLAIN shows what is
-- pushed down into it.
explain
select application_id
from source.public.loan_applications
where application_id = 42;
