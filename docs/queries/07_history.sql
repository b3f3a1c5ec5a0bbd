-- What did the source hold at a moment, and of how much of it had the lake
-- known by then? DBeaver asks for it, in quotes: '2026-01-31 12:00:00 UTC'.
select
    count(*) as held_by_the_source,
    count_if(_known_at <= timestamp :moment) as known_to_us
from silver.loan_application_history
where
    valid_from <= timestamp :moment
    and (valid_to is null or valid_to > timestamp :moment);

-- The life of the application that changed most.
with most_changed as (
    select max_by(application_id, versions) as application_id
    from (
        select
            application_id,
            count(*) as versions
        from silver.loan_application_history
        group by application_id
    )
)

select
    history.application_id,
    history.credit_score,
    history.credit_score - lag(history.credit_score) over (
        order by history.valid_from
    ) as change,
    history.loan_status,
    history.valid_from,
    history.valid_to
from silver.loan_application_history as history
inner join most_changed
    on history.application_id = most_changed.application_id
order by history.valid_from;
