{#
    A model's schema is exactly what its folder's `schema` says (silver, gold),
    not dbt's <target schema>_<schema>. Tests put a prefix before it.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{- var('schema_prefix') -}}
    {{- (custom_schema_name or target.schema) | trim -}}
{%- endmacro %}
