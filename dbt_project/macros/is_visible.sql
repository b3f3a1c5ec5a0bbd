{#
    Whether a PostgreSQL snapshot sees a transaction: the rule of
    pg_visible_in_snapshot(). The snapshot's ids have 64 bits, a transaction's in
    the log has the lower 32: they are compared modulo 2^32, as PostgreSQL does,
    which is right while the two are less than 2^31 transactions apart.
    False, and never null, when the snapshot is none.
#}
{% macro is_visible(tx_id, snapshot) -%}
    coalesce(
        {{ wraps_before(tx_id, snapshot ~ '.snapshot_xmin') }}
        or (
            {{ wraps_before(tx_id, snapshot ~ '.snapshot_xmax') }}
            and not contains(
                transform({{ snapshot }}.snapshot_xip, id -> id % 4294967296),
                {{ tx_id }}
            )
        ),
        false
    )
{%- endmacro %}

{# Whether 32-bit `a` comes before 64-bit `b` on the circle of 2^32 ids. #}
{% macro wraps_before(a, b) -%}
    mod({{ b }} - {{ a }} + 4294967296, 4294967296) between 1 and 2147483647
{%- endmacro %}
