{#
    Stops a full refresh of a model without the models that it is built from: it
    would contain the last run's claims only.
#}
{% macro check_full_refresh(needed) -%}
    {%- if execute and flags.FULL_REFRESH -%}
        {%- for name in needed -%}
            {%- if 'model.loan_lakehouse.' ~ name not in selected_resources -%}
                {{ exceptions.raise_compiler_error(
                    'A full refresh of ' ~ model.name ~ ' needs one of ' ~ name
                    ~ ': dbt build --full-refresh --select ' ~ name ~ '+'
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
