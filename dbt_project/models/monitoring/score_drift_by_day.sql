with

-- What the model decides; not what a rule declines, or what is referred.
scores as (

    select *
    from {{ ref('loan_scores') }}
    where score > 0

),

history as (

    select
        *,
        row_number() over (
            partition by application_id, event_timestamp
            order by created_timestamp desc
        ) as place
    from {{ ref('historical_features') }}

),

bins as (

    select * from {{ ref('stg_loan_score_references') }}

),

-- A score's features are those of the moment as of which it was made.
features as (

    select
        scores.model_version,
        cast(scores.features_as_of as date) as scored_day,
        feature.name as feature,
        feature.number,
        feature.category
    from scores
    inner join history
        on
            scores.application_id = history.application_id
            and scores.features_as_of = history.event_timestamp
    cross join
        unnest(array[
            row('score', scores.score, null),
            row('annual_income', history.annual_income, null),
            row(
                'employment_years',
                cast(history.employment_years as double),
                null
            ),
            row('loan_amount', history.loan_amount, null),
            row(
                'interest_rate_percent',
                history.interest_rate_percent,
                null
            ),
            row(
                'loan_to_income_percent',
                history.loan_to_income_percent,
                null
            ),
            row(
                'requested_to_income_percent',
                100 * history.loan_amount / history.annual_income,
                null
            ),
            row('credit_score', cast(history.credit_score as double), null),
            row(
                'credit_history_years',
                cast(history.credit_history_years as double),
                null
            ),
            row('education', null, history.education),
            row('home_ownership', null, history.home_ownership),
            row('loan_purpose', null, history.loan_purpose)
        ]) as feature (name, number, category)
    where history.place = 1

),

counted as (

    select
        features.model_version,
        features.scored_day,
        features.feature,
        bins.bin,
        count(*) as applications
    from features
    inner join bins
        on
            features.model_version = bins.model_version
            and features.feature = bins.feature
            and if(
                bins.category is null,
                features.number >= coalesce(bins.lower_bound, -infinity())
                and features.number < coalesce(bins.upper_bound, infinity()),
                features.category = bins.category
            )
    group by
        features.model_version, features.scored_day, features.feature, bins.bin

),

days as (

    select
        model_version,
        scored_day,
        feature,
        sum(applications) as applications
    from counted
    group by model_version, scored_day, feature

),

-- A bin that is empty on one side counts as a thousandth: the logarithm of 0
-- has no value.
shares as (

    select
        days.model_version,
        days.scored_day,
        days.feature,
        days.applications,
        greatest(bins.share, 0.001) as expected,
        greatest(
            coalesce(counted.applications, 0)
            / cast(days.applications as double),
            0.001
        ) as found
    from days
    inner join bins
        on
            days.model_version = bins.model_version
            and days.feature = bins.feature
    left join counted
        on
            days.model_version = counted.model_version
            and days.scored_day = counted.scored_day
            and days.feature = counted.feature
            and bins.bin = counted.bin

),

drift as (

    select
        ---------- ids
        model_version,
        scored_day,
        feature,

        ---------- volume
        applications,

        ---------- drift
        sum((found - expected) * ln(found / expected)) as psi

    from shares
    group by model_version, scored_day, feature, applications

)

select * from drift
