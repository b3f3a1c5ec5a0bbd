{#
    dbt's own materialization of a test with `store_failures` drops a view,
    creates it and selects from it, whether a row fails or not. This one counts
    the failing rows first, in the statement that counts those of the model's
    other tests where there was one (see check_rows), and creates the view only
    when there is something to look at. The view keeps the name that dbt prints.
#}
{% materialization test, adapter='trino' %}
    {%- set view = api.Relation.create(
        database=database,
        schema=schema,
        identifier=model.alias,
        type='view'
    ) -%}
    {%- set old_view = load_cached_relation(view) -%}

    {%- set checked = checked_rows(model) -%}
    {%- if checked -%}
        {%- do store_raw_result(
            'main', message='counted', code='OK', rows_affected=1, agate_table=checked
        ) -%}
    {%- else -%}
        {%- call statement('main', fetch_result=True) -%}
            {{ get_test_sql(
                sql,
                config.get('fail_calc'),
                config.get('warn_if'),
                config.get('error_if'),
                config.get('limit')
            ) }}
        {%- endcall -%}
    {%- endif -%}

    {%- set failures = load_result('main').table.rows[0]['failures'] -%}
    {%- if failures and should_store_failures() -%}
        {%- call statement('store_failures') -%}
            {{ create_view_as(view, sql) }}
        {%- endcall -%}
        {{ return({'relations': [view]}) }}
    {%- endif -%}
    {%- if old_view -%}
        {%- do adapter.drop_relation(old_view) -%}
    {%- endif -%}
    {{ return({'relations': []}) }}
{% endmaterialization %}
