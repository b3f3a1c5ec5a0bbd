{#
    What there is in the lake. Lint compiles models where there is no lake
    (target `lint`): there, every model has been built, for what is to be linted
    is the run of every day and not the first one.
#}
{% macro trino__list_relations_without_caching(relation) -%}
    {%- if target.name != 'lint' -%}
        {{ return(dbt.trino__list_relations_without_caching(relation)) }}
    {%- endif -%}
    {%- set relations = [] -%}
    {%- for node in graph.nodes.values() if node.schema == relation.schema -%}
        {%- set type = 'view' if node.config.materialized == 'view' else 'table' -%}
        {%- do relations.append((node.database, node.alias, node.schema, type)) -%}
    {%- endfor -%}
    {{ return(relations) }}
{%- endmacro %}
