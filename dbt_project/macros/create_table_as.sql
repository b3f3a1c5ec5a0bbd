{#
    dbt-trino makes a table with a contract in two statements: replace it by an
    empty one, then insert. A reader in between finds nothing, and a failing
    insert leaves nothing. Here the contract is checked first (names and types,
    without running the query) and then one statement swaps the whole table.
    The price: no NOT NULL on the columns. The models' tests check that.

    A temporary table replaces the one of an interrupted run: a unit test would
    otherwise always fail with "already exists".
#}
{% macro trino__create_table_as(temporary, relation, sql, on_exists=none) -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
        {%- set sql = get_select_subquery(sql) -%}
    {%- endif -%}
    create
    {{- ' or replace' if temporary or on_exists == 'replace' }} table
    {{- ' if not exists' if on_exists == 'skip' }} {{ relation }}
    {{ comment(model.get('description')) }}
    {{ properties(temporary) }}
    as (
        {{ sql }}
    )
{%- endmacro %}

{# dbt-trino's, with the comment in the same statement. #}
{% macro trino__create_view_as(relation, sql) -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    create or replace view {{ relation }}
    {{ comment(model.get('description')) }}
    security definer
    as
    {{ sql }}
{%- endmacro %}
