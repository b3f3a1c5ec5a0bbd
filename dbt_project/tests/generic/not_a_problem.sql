{# The column is null in every row; what it says otherwise is the test's message. #}
{% test not_a_problem(model, column_name) %}

select
    {{ column_name }},
    count(*) as row_count
from {{ model }}
where {{ column_name }} is not null
group by {{ column_name }}

{% endtest %}
