{#
    An array of the names of those rules of one severity that a row breaks;
    empty for a good row. The rules are the list `loan_application_rules` in
    dbt_project.yml.
#}
{% macro broken_rules(rules, severity) -%}
    {%- do check_rules(rules) -%}
    filter(
        cast(array[
            {%- for rule in rules if rule.severity == severity %}
            if({{ rule.predicate }}, '{{ rule.name }}')
            {{- ',' if not loop.last }}
            {%- endfor %}
        ] as array(varchar)),
        rule -> rule is not null
    )
{%- endmacro %}

{# An error in the list fails at parsing instead of letting bad rows pass. #}
{% macro check_rules(rules) -%}
    {%- set names = [] -%}
    {%- for rule in rules -%}
        {%- for key in ['name', 'severity', 'predicate', 'reason'] -%}
            {%- if not rule[key] -%}
                {{ exceptions.raise_compiler_error(
                    'Rule ' ~ loop.index ~ ' (' ~ rule ~ ') has no ' ~ key
                ) }}
            {%- endif -%}
        {%- endfor -%}
        {%- if rule.severity not in ['reject', 'warn'] -%}
            {{ exceptions.raise_compiler_error(
                'Rule ' ~ rule.name ~ ' has the severity "' ~ rule.severity
                ~ '": it must be reject or warn'
            ) }}
        {%- endif -%}
        {%- if rule.name in names -%}
            {{ exceptions.raise_compiler_error(
                'Two rules are named ' ~ rule.name
            ) }}
        {%- endif -%}
        {%- do names.append(rule.name) -%}
    {%- endfor -%}
{%- endmacro %}

{#
    A query for one text of all that decides whether a row is rejected: it differs if a
    predicate or an accepted value does. The state asks the rules of a row when it lands;
    when they have changed, of all rows.
#}
{% macro rules_in_force() -%}
    {%- set predicates = [] -%}
    {%- for rule in var('loan_application_rules') if rule.severity == 'reject' -%}
        {%- do predicates.append([rule.name, rule.predicate]) -%}
    {%- endfor -%}
    select
        '{{ local_md5(tojson(predicates)) }} '
        || to_hex(md5(to_utf8(json_format(cast(
            array_sort(array_agg(row(attribute, value))) as json
        )))))
    from {{ ref('accepted_values') }}
{%- endmacro %}
