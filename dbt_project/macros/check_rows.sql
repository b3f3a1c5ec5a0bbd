{#
    Runs the tests of one model that only read its rows in one scan, as soon as
    the model is built: a post-hook. Each test still runs, is reported and fails
    by itself; it finds its count here and queries Trino only if there is none, or
    if it is not zero: then the test reports its failures itself.

    The counts are kept in `graph`, the one object that all nodes of a run share.
#}
{% macro check_rows() -%}
    {%- if execute and flags.WHICH == 'build' -%}
        {%- for where, tests in row_tests_of(model.unique_id).items() if tests | length > 1 -%}
            {%- do count_failing_rows(this, where, tests) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# The selected tests of a model that a count over its rows can answer, by the rows they read. #}
{% macro row_tests_of(model_id) -%}
    {%- set found = {} -%}
    {%- for node in graph.nodes.values() -%}
        {%- if node.resource_type == 'test'
            and node.attached_node == model_id
            and node.unique_id in selected_resources
            and (node.config.fail_calc, node.config.limit) == ('count(*)', none)
            and (node.config.warn_if, node.config.error_if) == ('!= 0', '!= 0')
            and failing_rows(node) -%}
            {%- do found.setdefault(node.config.where, []).append(node) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{% macro count_failing_rows(relation, where, tests) -%}
    {%- set counts = run_query(failing_rows_query(relation, where, tests)) -%}
    {%- for test in tests -%}
        {%- do graph.update({
            invocation_id ~ test.unique_id: counts.limit(loop.index0, loop.index)
        }) -%}
    {%- endfor -%}
{%- endmacro %}

{# One row per test, in their order, in the shape that dbt expects of each. #}
{% macro failing_rows_query(relation, where, tests) -%}
    select
        failures,
        failures != 0 as should_warn,
        failures != 0 as should_error
    from (
        select array[
            {%- for test in tests %}
            {{ failing_rows(test) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ] as counts
        from {{ relation }}
        {{ 'where ' ~ test_condition(where) if test_condition(where) }}
    )
    cross join unnest(counts) with ordinality as counted (failures, test_number)
    order by test_number
{%- endmacro %}

{# What check_rows counted for a test, if it is zero. #}
{% macro checked_rows(test) -%}
    {%- set counted = graph.get(invocation_id ~ test.unique_id) -%}
    {{ return(counted if counted and counted.rows[0]['failures'] == 0 else none) }}
{%- endmacro %}

{#
    How many rows a generic test finds wrong, as an aggregate over the model's
    rows: zero if and only if the test passes. None for a test that needs more
    than these rows: another model may not be built yet.
#}
{% macro failing_rows(test) -%}
    {%- set metadata = test.test_metadata or {} -%}
    {%- set name, arguments = metadata.name, metadata.kwargs -%}
    {%- set column = arguments.column_name if arguments else none -%}
    {%- if name == 'not_null' -%}
        {{ return('count_if(' ~ column ~ ' is null)') }}
    {%- elif name == 'not_a_problem' -%}
        {{ return('count_if(' ~ column ~ ' is not null)') }}
    {%- elif name == 'unique' -%}
        {{ return('count(' ~ column ~ ') - count(distinct ' ~ column ~ ')') }}
    {%- elif name == 'unique_combination' -%}
        {%- set key = arguments.columns | join(', ') -%}
        {{ return('count(*) - count(distinct row(' ~ key ~ '))') }}
    {%- elif name == 'no_missing_value' -%}
        {%- set columns = documented_columns(test.attached_node) -%}
        {{ return('count_if(' ~ columns | join(' is null or ') ~ ' is null)') }}
    {%- elif name == 'accepted_values' -%}
        {{ return(count_others(column, arguments['values'])) }}
    {%- elif name == 'is_a_band' -%}
        {{ return(count_others(column, band_names(arguments.bands))) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{% macro count_others(column, values) -%}
    {%- set literals = [] -%}
    {%- for value in values -%}
        {%- do literals.append(dbt.string_literal(value)) -%}
    {%- endfor -%}
    {{ return('count_if(' ~ column ~ ' not in (' ~ literals | join(', ') ~ '))') }}
{%- endmacro %}

{# The names of a model's columns, which its YAML lists: all of them, by contract or by lint. #}
{% macro documented_columns(model_id) -%}
    {{ return(graph.nodes[model_id].columns.keys() | list) }}
{%- endmacro %}
