{#
    dbt-trino's materialization puts the new rows into a view, describes view and
    table twice each, reads the view and drops it: seven statements. Here the
    query itself is what is merged or inserted: three. The strategies are
    dbt-trino's macros.
#}
{% materialization incremental, adapter='trino', supported_languages=['sql'] %}
    {%- set table = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks) }}
    {%- if existing is none or existing.is_view or should_full_refresh() -%}
        {%- if existing and existing.is_view -%}
            {%- do adapter.drop_relation(existing) -%}
        {%- endif -%}
        {%- call statement('main') -%}
            {{ create_table_as(false, table, sql, 'replace') }}
        {%- endcall -%}
    {%- else -%}
        {%- set strategy = config.get('incremental_strategy') or 'default' -%}
        {%- set write = adapter.get_incremental_strategy_macro(context, strategy) -%}
        {%- set columns = columns_to_write(existing, sql) -%}
        {%- call statement('main') -%}
            {{ write({
                'target_relation': existing,
                'temp_relation': '(' ~ sql ~ ')',
                'unique_key': config.get('unique_key'),
                'dest_columns': columns,
                'incremental_predicates': config.get('incremental_predicates')
            }) }}
        {%- endcall -%}
    {%- endif -%}
    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [table]}) }}
{% endmaterialization %}

{# The query's columns, once the table has them: `on_schema_change` says how it gets them. #}
{% macro columns_to_write(table, sql) -%}
    {%- set there = adapter.get_columns_in_relation(table) | map(attribute='name') | list -%}
    {%- set wanted = columns_of_query(sql) -%}
    {%- set new = wanted | rejectattr('name', 'in', there) | list -%}
    {%- set gone = there | reject('in', wanted | map(attribute='name') | list) | list -%}
    {%- if (new or gone) and config.get('on_schema_change') != 'append_new_columns' -%}
        {{ exceptions.raise_compiler_error(
            'The columns of ' ~ model.name ~ ' have changed.'
            ~ '\n  New: ' ~ (new | map(attribute='name') | join(', ') or 'none')
            ~ '\n  Gone: ' ~ (gone | join(', ') or 'none')
            ~ '\nBuild it again from the start: dbt build --full-refresh --select '
            ~ model.name ~ '+'
        ) }}
    {%- endif -%}
    {%- if new -%}
        {%- do alter_relation_add_remove_columns(table, new, none) -%}
    {%- endif -%}
    {{ return(wanted) }}
{%- endmacro %}

{# The columns of the model's query: its contract's, once the query keeps it. #}
{% macro columns_of_query(sql) -%}
    {%- if not config.get('contract').enforced -%}
        {{ return(get_column_schema_from_query(sql)) }}
    {%- endif -%}
    {{ get_assert_columns_equivalent(sql) }}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append(api.Column(column.name, column.data_type)) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}
