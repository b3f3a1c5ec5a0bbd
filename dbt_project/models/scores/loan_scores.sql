with

scores as (

    select * from {{ ref('int_loan_scores__newest') }}

)

select * from scores
