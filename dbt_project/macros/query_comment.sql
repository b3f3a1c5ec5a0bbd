{# What dbt writes before each statement: `query-comment` in dbt_project.yml. #}
{% macro query_comment(node) -%}
    {%- set found = {'app': 'dbt', 'run': this_run()} -%}
    {%- if node -%}
        {%- do found.update({'node_id': node.unique_id}) -%}
    {%- endif -%}
    {{ return(tojson(found)) }}
{%- endmacro %}
