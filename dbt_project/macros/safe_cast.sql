{# Lets the rows of a unit test write an array as a YAML list. #}
{% macro trino__safe_cast(field, type) -%}
    {%- if field is iterable and field is not string -%}
        cast(json {{ dbt.string_literal(tojson(field)) }} as {{ type }})
    {%- else -%}
        try_cast({{ field }} as {{ type }})
    {%- endif -%}
{%- endmacro %}
