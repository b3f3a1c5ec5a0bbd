{# Percentages in gold run from 0 to 100 and are doubles. #}
{% macro to_percent(ratio) -%}
    cast(100 * {{ ratio }} as double)
{%- endmacro %}
