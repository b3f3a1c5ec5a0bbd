{# The name of the band that contains a number: `bands` in dbt_project.yml. #}
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

{# The names of one of the lists in `bands` of dbt_project.yml. #}
{% macro band_names(bands) -%}
    {{ return(var('bands')[bands] | map(attribute='name') | list) }}
{%- endmacro %}
