{#
    `--empty` makes every relation without rows: a dry run where each developer has a
    target of their own. Here is one target, and people read it.
#}
{% macro refuse_empty() -%}
    {%- if execute and flags.WHICH in ('build', 'run') and flags.EMPTY -%}
        {{ exceptions.raise_compiler_error(
            '--empty would replace tables that people read by empty ones. To check the SQL'
            ~ ' and change nothing: dbt compile, or dbt test --select test_type:unit'
        ) }}
    {%- endif -%}
{%- endmacro %}
