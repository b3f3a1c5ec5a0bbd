with

applications as (

    select * from {{ ref('int_loan_applications__state') }}
    where outcome != 'deleted'

),

accepted_values as (

    select multimap_agg(attribute, value) as accepted
    from {{ ref('accepted_values') }}

),

rules as (

    select * from {{ ref('loan_application_rules') }}

),

-- Rejecting rules were evaluated when the row landed, because they decide its
-- table; warning rules are evaluated here.
judged as (

    select
        applications.application_id,
        applications.created_at,
        applications._version_id,
        applications.broken_rules
        || {{ broken_rules(var('loan_application_rules'), 'warn') }}
            as rule_names
    from applications
    cross join accepted_values

),

broken_rules as (

    select
        ---------- ids
        judged.application_id,
        broken.rule_name,

        ---------- what kind
        rules.severity,

        ---------- timestamps
        judged.created_at,

        ---------- lineage
        judged._version_id

    from judged
    cross join unnest(judged.rule_names) as broken (rule_name)
    inner join rules on broken.rule_name = rules.rule_name

)

select * from broken_rules
