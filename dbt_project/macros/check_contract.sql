{#
    dbt's own check reports the differing columns. This one also names the readers
    of the contract.
#}
{% macro trino__get_assert_columns_equivalent(sql) -%}
    {%- set found = column_names_and_types(sql) -%}
    {%- set promised = promised_names_and_types(model) -%}
    {%- if promised != found -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ' would break its contract.\n'
            ~ '  It promises: ' ~ (promised | reject('in', found) | join(', ') or 'no more than that')
            ~ '\n  The query has: ' ~ (found | reject('in', promised) | join(', ') or 'nothing else')
            ~ '\n  It is read by: ' ~ (readers_of(model) | join(', ') or 'no known reader')
            ~ '\nKeep the promise, or agree on another with them and write it into '
            ~ model.patch_path.split('://')[1] ~ '.'
        ) }}
    {%- endif -%}
{%- endmacro %}

{# As column_names_and_types returns them, without a query: a type's name, in capitals. #}
{% macro promised_names_and_types(model) -%}
    {%- set promised = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do promised.append(column.name ~ ' ' ~ column.data_type.split('(')[0] | upper) -%}
    {%- endfor -%}
    {{ return(promised | sort) }}
{%- endmacro %}

{% macro column_names_and_types(sql) -%}
    {{ return(
        format_columns(get_column_schema_from_query(sql))
        | map(attribute='formatted') | sort
    ) }}
{%- endmacro %}

{#
    The labels of the exposures and the names of the models that read a model. The model
    folded_offsets is built after the tables of features, and reads none of their columns.
#}
{% macro readers_of(model) -%}
    {%- set readers = [] -%}
    {%- for reader in (graph.exposures.values() | list) + (graph.nodes.values() | list) -%}
        {%- if reader.resource_type in ['exposure', 'model']
            and reader.name != 'folded_offsets'
            and model.unique_id in reader.depends_on.nodes -%}
            {%- do readers.append(reader.label or reader.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(readers | sort) }}
{%- endmacro %}
