{#
    dbt makes schemas without a location, and the metastore then refuses tables
    in them. silver and gold own their buckets; every other schema is a folder
    of a bucket, its name led by `_` so that no table's folder can meet it.
#}
{% macro trino__create_schema(relation) -%}
    {%- set schema = relation.schema -%}
    {%- set bucket = env_var('SILVER_BUCKET') if schema.endswith('silver')
        else env_var('GOLD_BUCKET') -%}
    {%- set folder = '' if schema in ('silver', 'gold')
        else '_' ~ schema ~ '/' -%}
    {%- call statement('create_schema') -%}
        create schema if not exists {{ relation.without_identifier() }}
        with (location = 's3://{{ bucket }}/{{ folder }}')
    {%- endcall -%}
{%- endmacro %}
