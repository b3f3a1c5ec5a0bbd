with

versions as (

    select
        *,
        lag(loan_status) over (
            partition by application_id order by version_number
        ) as status_before
    from {{ ref('loan_application_history') }}

),

-- The version with which the label became what it is now is the decision.
decisions as (

    select
        application_id,
        max_by(loan_status, version_number) as loan_status,
        max(valid_from) as decided_at
    from versions
    where status_before is distinct from loan_status
    group by application_id

),

trained as (

    select
        model_version,
        max(trained_until) as trained_until
    from {{ ref('stg_loan_score_references') }}
    group by model_version

),

-- Decisions that the version has not learned from, of what it has scored.
outcomes as (

    select
        scores.model_version,
        scores.score,
        cast(date_trunc('month', decisions.decided_at) as date)
            as decided_month,
        cast(decisions.loan_status as double) as label,
        least(floor(10 * scores.score), 9) as score_bin
    from {{ ref('loan_scores') }} as scores
    inner join decisions on scores.application_id = decisions.application_id
    inner join trained on scores.model_version = trained.model_version
    where
        scores.score > 0
        and decisions.decided_at > trained.trained_until

),

-- Equal scores share the mean of their places.
placed as (

    select
        *,
        rank() over (partition by model_version, decided_month order by score)
        + (
            count(*) over (partition by model_version, decided_month, score)
            - 1
        ) / 2e0 as place,
        sum(label - score) over (
            partition by model_version, decided_month, score_bin
        ) as difference_in_bin,
        count(*) over (
            partition by model_version, decided_month, score_bin
        ) as rows_in_bin
    from outcomes

),

by_month as (

    select
        model_version,
        decided_month,
        count(*) as applications,
        sum(label) as approved,
        sum(score) as scores,
        sum(label * place) as places_of_approved,
        -- Each row adds its part of the bin's difference.
        sum(abs(difference_in_bin) / rows_in_bin) as differences
    from placed
    group by model_version, decided_month

),

measured as (

    select
        ---------- ids
        model_version,
        decided_month,

        ---------- volume
        applications,

        ---------- calibration
        {{ to_percent('approved / applications') }} as approved_percent,
        {{ to_percent('scores / applications') }} as expected_approved_percent,
        differences / applications as calibration_error,

        ---------- ranking
        (places_of_approved - approved * (approved + 1) / 2)
        / nullif(approved * (applications - approved), 0) as auc

    from by_month

)

select * from measured
