with

scores as (

    select * from {{ ref('stg_loan_scores') }}

),

-- What was scored again, of the same features or of newer ones, counts once.
ordered as (

    select
        *,
        row_number() over (
            partition by application_id, model_version
            order by features_as_of desc, scored_as_of desc
        ) as place
    from scores

),

newest as (

    select
        ---------- ids
        application_id,
        model_version,

        ---------- decision
        score,
        decision,
        reasons,

        ---------- timestamps
        features_as_of,
        scored_as_of,

        ---------- lineage
        run_id

    from ordered
    where place = 1

)

select * from newest
