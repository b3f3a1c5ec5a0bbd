{# No column of any row is null: one query in place of `not_null` on each. #}
{% test no_missing_value(model) %}

select *
from {{ model }}
where
    {%- for column in adapter.get_columns_in_relation(model) %}
    {{ 'or ' if not loop.first }}{{ column.quoted }} is null
    {%- else %}
    true
    {%- endfor %}

{% endtest %}
