{# The column has no value that the seed accepted_values lacks for the attribute. #}
{% test is_accepted(model, column_name, attribute) %}

select
    {{ column_name }},
    count(*) as row_count
from {{ model }}
where
    {{ column_name }} not in (
        select value
        from {{ ref('accepted_values') }}
        where attribute = '{{ attribute }}'
    )
group by {{ column_name }}

{% endtest %}
