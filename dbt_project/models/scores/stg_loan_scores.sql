with

source as (

    {{ rows_or_none(source('scores', 'loan_scores')) }}

),

renamed as (

    select
        ---------- ids
        application_id,
        model_version,

        ---------- decision
        score,
        decision,
        reasons,

        ---------- timestamps
        with_timezone(features_as_of, 'UTC') as features_as_of,
        with_timezone(scored_as_of, 'UTC') as scored_as_of,

        ---------- lineage
        run_id,

        ---------- partition
        dt

    from source

)

select * from renamed
