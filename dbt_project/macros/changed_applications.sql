{#
    A test over the history reads, in every run, the applications of which
    something has landed since the run before, and once a day all of them
    (`lakehouse_maintenance`: `test_whole_tables`). Such a test is configured
    with `where: __changed_applications__`; one over other rows that is only run once a day
    with `where: __once_a_day__`.
#}
{% macro trino__get_where_subquery(relation) -%}
    {%- set where = test_condition(config.get('where')) -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as tested' if where else relation) }}
{%- endmacro %}

{# The `where` of a test with the placeholder replaced; none if it reads all rows. #}
{% macro test_condition(where) -%}
    {%- if where == '__once_a_day__' -%}
        {{ return(none if var('test_whole_tables') else 'false') }}
    {%- endif -%}
    {{ return(changed_applications() if where == '__changed_applications__' else where) }}
{%- endmacro %}

{% macro changed_applications() -%}
    {%- if not execute or var('test_whole_tables') -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set landed = graph.nodes['model.loan_lakehouse.int_loan_applications__landed'] -%}
    {{ return('application_id in (select application_id from ' ~ landed.relation_name ~ ')') }}
{%- endmacro %}
