{# The segments of an application, as an array: each of `activity_segments`, by its kind and name. #}
{% macro activity_segments() -%}
    array[
        {%- for kind, column in var('activity_segments').items() %}
        '{{ kind }}=' || {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    ]
{%- endmacro %}
