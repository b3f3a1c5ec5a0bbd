{#
    The rows of a source, or none with the same columns while its table does not
    exist: a model of a source that lands later builds on every lake.
#}
{% macro rows_or_none(table) -%}
    {%- if not execute or load_relation(table) -%}
        select * from {{ table }}
    {%- else -%}
        {%- set declared = graph.sources.values() | selectattr(
            'relation_name', 'equalto', table | string
        ) | first -%}
        select
        {%- for column in declared.columns.values() %}
            cast(null as {{ column.data_type }}) as {{ column.name }}
            {{- ',' if not loop.last }}
        {%- endfor %}
        where false
    {%- endif -%}
{%- endmacro %}
