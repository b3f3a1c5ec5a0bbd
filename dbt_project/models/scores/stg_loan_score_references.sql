with

source as (

    {{ rows_or_none(source('scores', 'loan_score_references')) }}

),

renamed as (

    select
        ---------- ids
        model_version,
        feature,
        bin,

        ---------- bin
        lower_bound,
        upper_bound,
        category,
        share,

        ---------- timestamps
        with_timezone(trained_until, 'UTC') as trained_until

    from source

)

select * from renamed
