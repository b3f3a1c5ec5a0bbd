{# The column names one of the bands in dbt_project.yml. #}
{% test is_a_band(model, column_name, bands) %}

{{ default__test_accepted_values(
    model, column_name, var('bands')[bands] | map(attribute='name') | list
) }}

{% endtest %}
