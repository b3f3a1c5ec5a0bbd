with

scores as (

    select
        *,
        cast(features_as_of as date) as scored_day,
        -- A rule's score is 0; a model's never is.
        decision = 'decline' and score = 0 as is_policy_decline
    from {{ ref('loan_scores') }}

),

by_day as (

    select
        ---------- ids
        model_version,
        scored_day,

        ---------- volume
        count(*) as applications,
        count_if(decision = 'approve') as approved,
        count_if(decision = 'decline' and not is_policy_decline) as declined,
        count_if(is_policy_decline) as policy_declined,
        count_if(decision = 'refer') as referred,

        ---------- shares
        {{ to_percent('avg(if(is_policy_decline, 1e0, 0e0))') }}
            as policy_declined_percent,
        {{ to_percent("avg(if(decision = 'refer', 1e0, 0e0))") }}
            as referred_percent,

        ---------- scores
        avg(if(not is_policy_decline, score)) as average_score

    from scores
    group by model_version, scored_day

)

select * from by_day
