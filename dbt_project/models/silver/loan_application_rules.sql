{% set rules = var('loan_application_rules') %}

with

listed (rule_number, rule_name, severity, reason) as (

    values
        {%- for rule in rules %}
            (
                {{ loop.index }},
                '{{ rule.name }}',
                '{{ rule.severity }}',
                '{{ rule.reason | replace("'", "''") }}' -- noqa: LT05
            ){{ ',' if not loop.last }}
        {%- endfor %}

),

rules as (

    select
        rule_number,
        cast(rule_name as varchar) as rule_name,
        cast(severity as varchar) as severity,
        cast(reason as varchar) as reason
    from listed

)

select * from rules
