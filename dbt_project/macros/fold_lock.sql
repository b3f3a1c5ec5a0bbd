{#
    One fold at a time: of two at once, one would count as processed what only the
    other has read.

    The lock is a table without rows. Trino creates it once or not at all, and its
    comment names the run that holds it. A run takes the lock on-run-start and
    releases it on-run-end; each model of the fold checks that its run still has
    it. A run that was killed leaves the lock behind: it expires once Trino has
    had no statement of that run for `fold_lock_lease_seconds`.
#}
{% macro take_fold_lock() -%}
    {%- if execute and is_a_fold() -%}
        {%- set began = modules.datetime.datetime.now() -%}
        {#- Jinja has no `while`: the time ends this loop, not the range. -#}
        {%- for attempt in range(50000) -%}
            {%- set waited = (modules.datetime.datetime.now() - began).total_seconds() -%}
            {%- do run_query(create_fold_lock()) -%}
            {%- set holder = fold_lock_holder() -%}
            {%- if holder and holder.run == this_run() -%}
                {%- break -%}
            {%- elif holder and is_expired(holder) -%}
                {#- Another run may have taken it just now; that run's next check finds out. -#}
                {%- do break_fold_lock(holder) -%}
            {%- elif holder and waited >= var('fold_lock_wait_seconds') -%}
                {{ exceptions.raise_compiler_error(
                    'Another run is folding: ' ~ holder.command ~ ', since ' ~ holder.since
                    ~ ' (' ~ holder.run ~ '). Nothing was changed. Run dbt again when it has'
                    ~ ' ended; of a run that was killed, '
                    ~ var('fold_lock_lease_seconds') ~ ' seconds after its last statement'
                ) }}
            {%- elif holder and attempt == 0 -%}
                {%- do log(
                    'Waiting for another run that is folding: ' ~ holder.command ~ ', since '
                    ~ holder.since, info=true
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Before each model of a fold: a run that sent no statement for too long has lost the lock. #}
{% macro check_fold_lock() -%}
    {%- if execute and is_a_fold() -%}
        {%- set holder = fold_lock_holder() -%}
        {%- if not holder or holder.run != this_run() -%}
            {{ exceptions.raise_compiler_error(
                'This run has lost the lock to '
                ~ (holder.command ~ ', ' ~ holder.run if holder else 'a run that has ended')
                ~ ': it sent no statement for ' ~ var('fold_lock_lease_seconds')
                ~ ' seconds. Run dbt again'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro release_fold_lock() -%}
    {%- if execute and is_a_fold() -%}
        {%- set holder = fold_lock_holder() -%}
        {%- if holder and holder.run == this_run() -%}
            {%- do run_query('drop table if exists ' ~ fold_lock()) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# Whether this run builds a model of a fold. #}
{% macro is_a_fold() -%}
    {%- set models = selected_resources | select('in', fold_models()) | list -%}
    {{ return(flags.WHICH in ('build', 'run', 'retry') and models | length > 0) }}
{%- endmacro %}

{# Whether this run builds all models of a fold: what it reads, it also folds in. #}
{% macro is_a_whole_fold() -%}
    {%- set missing = fold_models() | reject('in', selected_resources) | list if execute -%}
    {{ return(not missing) }}
{%- endmacro %}

{% macro fold_models() -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() -%}
        {%- if node.resource_type == 'model' and 'intermediate' in node.tags -%}
            {%- do found.append(node.unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{% macro fold_lock() -%}
    {{ return(api.Relation.create(
        database=target.database,
        schema=generate_schema_name('silver', none) | trim,
        identifier='fold_lock'
    )) }}
{%- endmacro %}

{% macro create_fold_lock() -%}
    {%- set holder = tojson({
        'run': this_run(),
        'command': 'dbt ' ~ flags.WHICH,
        'since': modules.datetime.datetime.now(modules.pytz.utc).isoformat(timespec='seconds'),
    }, sort_keys=true) -%}
    create table if not exists {{ fold_lock() }} (unused boolean)
    comment {{ dbt.string_literal(dbt.escape_single_quotes(holder)) }}
{%- endmacro %}

{# run, command and since of the run that has the lock; none if no run has it. #}
{% macro fold_lock_holder() -%}
    {%- set rows = existing_comments([(fold_lock().schema, fold_lock().identifier)]) -%}
    {{ return(fromjson(rows[0][2]) if rows else none) }}
{%- endmacro %}

{# Whether the holder is gone: nothing has waited for a statement of it for the lease. #}
{% macro is_expired(holder) -%}
    {%- set lease = "interval '" ~ var('fold_lock_lease_seconds') ~ "' second" -%}
    {{ return(value_of(
        "select from_iso8601_timestamp('" ~ holder.since ~ "') < current_timestamp - " ~ lease
        ~ " and not exists (" ~ statements_of(holder)
        ~ " and last_heartbeat > current_timestamp - " ~ lease ~ ")", false
    )) }}
{%- endmacro %}

{# Ends what Trino still does for the holder, and then its lock. #}
{% macro break_fold_lock(holder) -%}
    {%- for row in rows_of(statements_of(holder) ~ ' and "end" is null') -%}
        {%- do run_query("call system.runtime.kill_query('" ~ row[0] ~ "', 'its run was killed')") -%}
    {%- endfor -%}
    {%- do run_query('drop table if exists ' ~ fold_lock()) -%}
{%- endmacro %}

{# A query: the ids of the holder's statements. query_comment names the run in each. #}
{% macro statements_of(holder) -%}
    select query_id from system.runtime.queries
    where strpos(query, '"run": ' || '"{{ holder.run }}"') > 0
{%- endmacro %}

{# A run of dbt; in Airflow, all that run for one run of a DAG. #}
{% macro this_run() -%}
    {%- set dag_run = env_var('AIRFLOW_CTX_DAG_RUN_ID', '') -%}
    {{ return(
        env_var('AIRFLOW_CTX_DAG_ID', '') ~ '/' ~ dag_run if dag_run else invocation_id
    ) }}
{%- endmacro %}
