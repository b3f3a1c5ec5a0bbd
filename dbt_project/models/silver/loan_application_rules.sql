with

rules as (

    {% for rule in var('loan_application_rules') %}
        -- noqa: disable=LT05
        select
            {{ loop.index }} as rule_number,
            cast('{{ rule.name }}' as varchar) as rule_name,
            cast('{{ rule.severity }}' as varchar) as severity,
            cast('{{ rule.reason | replace("'", "''") }}' as varchar) as reason
        -- noqa: enable=LT05
        {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from rules
