{#
    A value that silver cannot hold must not end a query, and a row with one has no
    content: its claim keeps its place, and the last readable version stays valid.
    These macros return what is wrong with a row, as an array of (column_name,
    reason); null if nothing is. `columns` are the table's, with name and type.
#}

{# Of a change: `raw` is its row as a map of JSON values, null if it is no JSON object. #}
{% macro unreadable_in_change(raw, columns) -%}
    {%- set reasons = [] -%}
    {%- for column in columns -%}
        {%- do reasons.append(reason_in_change(raw, column)) -%}
    {%- endfor -%}
    if(
        {{ raw }} is null,
        array[
            cast(row(null, 'the row is not valid JSON') as row(column_name varchar, reason varchar))
        ],
        {{ with_a_reason(columns, reasons) }}
    )
{%- endmacro %}

{# Of the columns those whose reason, an expression each, is not null; null if there are none. #}
{% macro with_a_reason(columns, reasons) -%}
    nullif(
        filter(
            cast(array[
                {%- for column in columns %}
                row('{{ column.name }}', {{ reasons[loop.index0] }})
                {{- ',' if not loop.last }}
                {%- endfor %}
            ] as array(row(column_name varchar, reason varchar))),
            found -> found.reason is not null
        ),
        array[]
    )
{%- endmacro %}

{% macro reason_in_change(raw, column) -%}
    {%- set value = "element_at(" ~ raw ~ ", '" ~ column.name ~ "')" -%}
    case
        when not contains(map_keys({{ raw }}), '{{ column.name }}')
            then 'the source does not send the column'
        when json_format({{ value }}) = '"__debezium_unavailable_value"'
            then 'not sent: a long value that did not change; the table needs REPLICA IDENTITY FULL'
        when json_format({{ value }}) != 'null' and {{ from_json(value, column.type) }} is null
            then {{ does_not_fit(column.type, 'json_format(' ~ value ~ ')') }}
    end
{%- endmacro %}

{# Of a batch row: `named` is the JSON object in which ingestion lists what Parquet cannot hold. #}
{% macro unreadable_in_row(named, columns) -%}
    {%- set reasons = [] -%}
    {%- for column in columns -%}
        {%- do reasons.append(reason_in_row(named, column)) -%}
    {%- endfor -%}
    {{ with_a_reason(columns, reasons) }}
{%- endmacro %}

{% macro reason_in_row(named, column) -%}
    {%- set value = "json_extract_scalar(" ~ named ~ ", '$." ~ column.name ~ "')" -%}
    case
        when {{ value }} is not null
            then {{ does_not_fit(column.type, value) }}
        {%- if 'timestamp' in column.type %}
        when not {{ is_readable_time(column.name) }}
            then {{ does_not_fit(column.type, 'cast(' ~ column.name ~ ' as varchar)') }}
        {%- endif %}
    end
{%- endmacro %}

{# A long value would make the list long: its beginning says enough. #}
{% macro does_not_fit(type, value) -%}
    'does not fit {{ type }}: ' || substr({{ value }}, 1, 60)
{%- endmacro %}

{# A JSON value as a column's type; null if it does not fit. #}
{% macro from_json(value, type) -%}
    {%- if 'timestamp' in type -%}
        {{ to_time('json_extract_scalar(' ~ value ~ ", '$')") }}
    {%- else -%}
        try(cast({{ value }} as {{ type }}))
    {%- endif -%}
{%- endmacro %}

{# An ISO 8601 text as a time; null if silver cannot hold it. #}
{% macro to_time(text) -%}
    try(
        if(
            {{ is_readable_time('from_iso8601_timestamp_nanos(' ~ text ~ ')', ' UTC') }},
            cast(from_iso8601_timestamp_nanos({{ text }}) as timestamp(6) with time zone)
        )
    )
{%- endmacro %}

{# Years that Python, and with it Feast, can hold; before 1 and after 9999 it has no dates. #}
{% macro is_readable_time(time, zone='') -%}
    {{ time }} between timestamp '0001-01-01 00:00:00{{ zone }}'
    and timestamp '9999-12-31 23:59:59.999999{{ zone }}'
{%- endmacro %}
