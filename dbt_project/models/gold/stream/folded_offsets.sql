-- Built after the tables of features, for it must not say more than they have:
-- depends_on: {{ ref('applicant_features') }}
-- depends_on: {{ ref('credit_history_features') }}
-- depends_on: {{ ref('loan_features') }}
with

progress as (

    select * from {{ ref('int_loan_applications__progress') }}

),

partitions as (

    select
        input_id,
        next_offset
    from progress
    where input_kind = 'partition'

)

select * from partitions
