{#
    Each run folds newly landed data into silver. Its state is in tables that the
    models of the next run read before they write them. With `ref` this would be a
    cycle, so these macros find the tables by name. There is no state on the first
    run and with --full-refresh.
#}
{% macro remembered(name) -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {{ return(adapter.get_relation(
            database=target.database,
            schema=generate_schema_name('silver', none) | trim,
            identifier=name
        )) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# The table of processed input; none if a table of the state is missing: start over. #}
{% macro remembered_progress() -%}
    {%- set found = namespace(all=true) -%}
    {%- for name in ['landed', 'state', 'versions', 'progress'] -%}
        {%- if not remembered('int_loan_applications__' ~ name) -%}
            {%- set found.all = false -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(remembered('int_loan_applications__progress') if found.all else none) }}
{%- endmacro %}

{#
    True of the snapshots that a run still needs: those on which the state may rest, and
    those that no run has folded in. `progress` is remembered_progress().
#}
{% macro is_needed(progress) -%}
    {%- if progress -%}
        (
            is_effective
            or snapshot_id not in (
                select progress.input_id from {{ progress }} as progress
            )
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The rows of a query; `otherwise` while parsing, and in lint, without a lake. #}
{% macro rows_of(query, otherwise=[]) -%}
    {%- if execute and target.name != 'lint' -%}
        {{ return(run_query(query).rows) }}
    {%- endif -%}
    {{ return(otherwise) }}
{%- endmacro %}

{# The value of a query that has one row and one column. #}
{% macro value_of(query, otherwise) -%}
    {{ return(rows_of(query, [[otherwise]])[0][0]) }}
{%- endmacro %}
