{# The column names one of the bands in dbt_project.yml. #}
{% test is_a_band(model, column_name, bands) %}

{{ default__test_accepted_values(model, column_name, band_names(bands)) }}

{% endtest %}
