{#
    dbt empties a seed's table and fills it again, in two commits: a query in
    between finds no accepted value. Here one statement swaps the table, as for
    models.
#}
{% macro trino__load_csv_rows(model, agate_table) -%}
    {%- set types = model.config.column_types -%}
    {%- set sql -%}
        create or replace table {{ this }} as
        select
            {%- for column in agate_table.column_names %}
            cast({{ adapter.quote(column) }} as {{ types[column] }})
            as {{ adapter.quote(column) }}{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            values
            {%- for row in agate_table.rows %}
            (
                {%- for item in row -%}
                {{ 'null' if item is none else dbt.string_literal(item) }}
                {{- ', ' if not loop.last }}
                {%- endfor -%}
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ) as seed ({{ get_seed_column_quoted_csv(model, agate_table.column_names) }})
    {%- endset -%}
    {%- do adapter.add_query(sql) -%}
    {{ return(sql) }}
{%- endmacro %}

{% macro trino__create_csv_table(model, agate_table) -%}{%- endmacro %}

{% macro trino__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
{%- endmacro %}
