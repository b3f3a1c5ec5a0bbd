{#
    What the source says of an application, apart from its key: 14 attributes
    and two times, with their types in silver.
#}
{% macro loan_columns() -%}
    {{ return([
        {'name': 'person_age', 'type': 'integer'},
        {'name': 'person_gender', 'type': 'varchar'},
        {'name': 'person_education', 'type': 'varchar'},
        {'name': 'person_income', 'type': 'decimal(12, 2)'},
        {'name': 'person_emp_exp', 'type': 'integer'},
        {'name': 'person_home_ownership', 'type': 'varchar'},
        {'name': 'loan_amnt', 'type': 'decimal(12, 2)'},
        {'name': 'loan_intent', 'type': 'varchar'},
        {'name': 'loan_int_rate', 'type': 'decimal(5, 2)'},
        {'name': 'loan_percent_income', 'type': 'decimal(5, 2)'},
        {'name': 'cb_person_cred_hist_length', 'type': 'integer'},
        {'name': 'credit_score', 'type': 'integer'},
        {'name': 'previous_loan_defaults_on_file', 'type': 'varchar'},
        {'name': 'loan_status', 'type': 'integer'},
        {'name': 'created_at', 'type': 'timestamp(6) with time zone'},
        {'name': 'updated_at', 'type': 'timestamp(6) with time zone'},
    ]) }}
{%- endmacro %}

{# The names of these columns as an array of texts. #}
{% macro loan_column_names() -%}
    array['{{ loan_columns() | map(attribute='name') | join("', '") }}']
{%- endmacro %}

{# The type of an event's row, to which its JSON is cast; times are texts. #}
{% macro loan_row_type() -%}
    {%- set fields = [] -%}
    {%- for column in loan_columns() -%}
        {%- do fields.append(
            column.name ~ ' ' ~ ('varchar' if 'timestamp' in column.type else column.type)
        ) -%}
    {%- endfor -%}
    row({{ fields | join(', ') }})
{%- endmacro %}

{# These columns in a SELECT, all null. #}
{% macro no_loan_attributes() -%}
    {%- for column in loan_columns() -%}
    cast(null as {{ column.type }}) as {{ column.name }}
    {{- ',\n            ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#
    These columns in a SELECT. `of` is the relation that they come from, `prefix`
    goes before their names. Where `unless` is true they are null, or the columns
    whose names begin with `otherwise`.
#}
{% macro loan_attributes(of='', prefix='', unless='', otherwise='') -%}
    {%- set of = of ~ '.' if of else '' -%}
    {%- for column in loan_columns() | map(attribute='name') -%}
    {%- if unless -%}
    if({{ unless }}, {{ otherwise ~ column if otherwise else 'null' }}, {{ of }}{{ column }})
    {%- else -%}
    {{ of }}{{ column }}
    {%- endif -%}
    {{ ' as ' ~ prefix ~ column if unless or prefix }}
    {{- ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
