{# Lets the rows of a unit test write an array of strings as a YAML list. #}
{% macro trino__safe_cast(field, type) -%}
    {%- if field is iterable and field is not string -%}
        cast(array[
            {%- for item in field -%}
                {{ dbt.string_literal(item) }}{{ ', ' if not loop.last }}
            {%- endfor -%}
        ] as {{ type }})
    {%- else -%}
        try_cast({{ field }} as {{ type }})
    {%- endif -%}
{%- endmacro %}
