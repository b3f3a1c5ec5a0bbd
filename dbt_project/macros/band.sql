{# The name of the band that a number lies in: `bands` in dbt_project.yml. #}
{% macro band(number, bands) -%}
    cast(
        case
            {%- for band in bands %}
            {%- if band.below %}
            when {{ number }} < {{ band.below }} then '{{ band.name }}'
            {%- else %}
            else '{{ band.name }}'
            {%- endif %}
            {%- endfor %}
        end as varchar
    )
{%- endmacro %}
