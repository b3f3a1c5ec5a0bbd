{#
    A relation's description is written by the statement that creates it, so
    that dbt has none to write afterwards.
#}
{% macro trino__persist_docs(relation, model, for_relation, for_columns) -%}{%- endmacro %}

{# An incremental table is created once: later changes of comments are applied on-run-end. #}
{% macro update_comments() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set tables = {} -%}
        {%- for result in results
            if result.status == 'success' and result.node.config.materialized == 'incremental' -%}
            {%- do tables.update({(result.node.schema, result.node.alias): result.node}) -%}
        {%- endfor -%}
        {%- for row in (existing_comments(tables.keys() | list) if tables else []) -%}
            {%- set node = tables[(row[0], row[1])] -%}
            {%- if row[2] != node.description -%}
                {%- set table = api.Relation.create(
                    database=node.database,
                    schema=node.schema,
                    identifier=node.alias,
                    type='table'
                ) -%}
                {%- do run_query(alter_relation_comment(table, node.description)) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Schema, name and comment of the tables; `tables` are pairs of schema and name. #}
{% macro existing_comments(tables) -%}
    {{ return(run_query(
        'select schema_name, table_name, comment from system.metadata.table_comments'
        ~ " where catalog_name = '" ~ target.database ~ "'"
        ~ " and schema_name in ('" ~ tables | map('first') | unique | join("', '") ~ "')"
        ~ " and table_name in ('" ~ tables | map('last') | join("', '") ~ "')"
    ).rows) }}
{%- endmacro %}
