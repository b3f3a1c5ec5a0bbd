{# No column of any row is null: one query in place of `not_null` on each. #}
{% test no_missing_value(model) %}

select *
from {{ model }}
where
    {%- set tested = context['model'].attached_node if execute %}
    {%- for column in (documented_columns(tested) if execute else []) %}
    {{ 'or ' if not loop.first }}{{ column }} is null
    {%- else %}
    true
    {%- endfor %}

{% endtest %}
