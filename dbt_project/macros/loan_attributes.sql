{#
    What the source says of an application, apart from its key: 14 attributes
    and two times. `of` is the relation that they come from; where `unless` is
    true, they are null.
#}
{% macro loan_attributes(of='', unless='') -%}
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
    if(not {{ unless }}, {{ of }}{{ column }}) as {{ column }}
    {%- else -%}
    {{ of }}{{ column }}
    {%- endif -%}
    {{ ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
