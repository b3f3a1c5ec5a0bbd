{#
    What the source says of an application, apart from its key: 14 attributes
    and two times. `of` is the relation that they come from, `prefix` goes before
    their names. Where `unless` is true they are null, or the columns whose names
    begin with `otherwise`.
#}
{% macro loan_attributes(of='', prefix='', unless='', otherwise='') -%}
    {%- set of = of ~ '.' if of else '' -%}
    {%- for column in [
        'person_age',
        'person_gender',
        'person_education',
        'person_income',
        'person_emp_exp',
        'person_home_ownership',
        'loan_amnt',
        'loan_intent',
        'loan_int_rate',
        'loan_percent_income',
        'cb_person_cred_hist_length',
        'credit_score',
        'previous_loan_defaults_on_file',
        'loan_status',
        'created_at',
        'updated_at',
    ] -%}
    {%- if unless -%}
    if({{ unless }}, {{ otherwise ~ column if otherwise else 'null' }}, {{ of }}{{ column }})
    {%- else -%}
    {{ of }}{{ column }}
    {%- endif -%}
    {{ ' as ' ~ prefix ~ column if unless or prefix }}
    {{- ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
