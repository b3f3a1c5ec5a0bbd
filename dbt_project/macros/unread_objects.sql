{#
    True of the rows of objects in bronze that no run has read yet. It compares
    with constants, because only these let Trino skip objects and hours: names sort
    by hour, then by partition, then by offset.

    Per partition, objects that start before the processed offset are left out;
    all others are read, those of a new partition too. It also reads the hour
    before the processed one, for a clock that was set back. An older object that
    was not read would leave a gap, which assert_stream_has_no_gap finds.
#}
{% macro unread_objects() -%}
    {%- set progress = remembered_progress() -%}
    {%- set read = [] -%}
    {%- if progress -%}
        {%- set ddl = ddl_of_changes() -%}
        {%- set rows = rows_of(
            "select last_object, next_offset from " ~ progress
            ~ " where last_object like '%/dt=%/hour=%/%+%'"
        ) -%}
        {%- for row in rows -%}
            {%- set folder, rest = row[0].split('/dt=') -%}
            {#- Objects of another topic's name are in another folder: they are read. -#}
            {%- if "'" ~ folder ~ "'" in ddl -%}
                {%- do read.append({
                    'folder': folder,
                    'hour': modules.datetime.datetime.strptime(
                        rest[:18], '%Y-%m-%d/hour=%H'
                    ),
                    'topic': rest.split('/')[-1].rsplit('+', 2)[0],
                    'partition': rest.split('/')[-1].rsplit('+', 1)[0],
                    'next': '%020d' | format(row[1] | int),
                }) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if not read -%}
        true
    {%- else -%}
        {#- A topic that was created again has a new id; the old one gets no more records. -#}
        {%- set topic = (read | sort(attribute='hour') | last).topic -%}
        {%- set read = read | selectattr('topic', 'equalto', topic) | list -%}
        {%- set hour = modules.datetime.timedelta(hours=1) -%}
        {%- set first = (read | map(attribute='hour') | min) - hour -%}
        {%- set last = read | map(attribute='hour') | max -%}
        {%- set hours = ((last - first).total_seconds() // 3600) | int + 1 -%}
        dt >= date '{{ first.strftime("%Y-%m-%d") }}'
        and (
            dt > date '{{ first.strftime("%Y-%m-%d") }}'
            or hour >= {{ first.hour }}
        )
        and _object >= '{{ read[0].folder }}/dt={{ first.strftime("%Y-%m-%d/hour=%H") }}/'
        {#- A partition without records for days would give too many of them. -#}
        {%- for back in range([hours, 48] | min) %}
        {%- set folder = read[0].folder ~ (last - back * hour).strftime("/dt=%Y-%m-%d/hour=%H/") %}
        {%- for known in read %}
        and not (
            _object >= '{{ folder ~ known.partition }}+'
            and _object < '{{ folder ~ known.partition }}+{{ known.next }}'
        )
        {%- endfor %}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}

{# The location of bronze's table of changes; queried once in a run. #}
{% macro ddl_of_changes() -%}
    {%- set known = graph.get(invocation_id ~ 'ddl_of_changes') -%}
    {%- set ddl = known or value_of(
        'show create table ' ~ var('bronze_catalog') ~ '.'
        ~ var('bronze_schema') ~ '.loan_applications_changes', ''
    ) -%}
    {%- do graph.update({invocation_id ~ 'ddl_of_changes': ddl}) -%}
    {{ return(ddl) }}
{%- endmacro %}
