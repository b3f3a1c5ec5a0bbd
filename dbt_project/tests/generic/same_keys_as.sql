{#
    The column holds exactly the keys that another model holds: none is missing,
    none is made up. Stronger than `relationships`, which looks one way only.
#}
{% test same_keys_as(model, column_name, to) %}

select
    ours.{{ column_name }} as our_key,
    theirs.{{ column_name }} as their_key
from {{ model }} as ours
full outer join {{ to }} as theirs
    on ours.{{ column_name }} = theirs.{{ column_name }}
where ours.{{ column_name }} is null or theirs.{{ column_name }} is null

{% endtest %}
