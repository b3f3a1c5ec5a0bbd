{#
    The value below which `percent` of a group's values are. Approximate, within a
    hundredth or so of the ranks: exact percentiles would hold all values in memory.
#}
{% macro percentile(number, percent) -%}
    approx_percentile(cast({{ number }} as double), {{ percent / 100 }})
{%- endmacro %}
