{# The column names one of the bands in dbt_project.yml. #}
{% test is_a_band(model, column_name, bands) %}

select
    {{ column_name }},
    count(*) as row_count
from {{ model }}
where
    {{ column_name }} not in (
        {%- for band in var('bands')[bands] -%}
        '{{ band.name }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
    )
group by {{ column_name }}

{% endtest %}
