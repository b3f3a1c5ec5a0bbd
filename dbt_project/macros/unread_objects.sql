{#
    True of the rows of objects in bronze that the fold has not read, said in
    constants, for only by these does Trino leave objects unopened and hours
    unlisted: names sort by hour, then by partition, then by offset.

    Per partition, what starts before the offset that the fold has come to is
    left out; whatever else there is, a new partition too, is in. It looks an
    hour further back than it has come to, for a clock that was set back. An
    object that even so lies outside would leave a gap, which
    assert_stream_has_no_gap finds.
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
            {#- Elsewhere lies what came under another topic's name: it is read. -#}
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
        {#- A topic that was made anew has a new id; the old one never goes on. -#}
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
        {#- A partition that has slept for days would give too many of them. -#}
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

{# Where bronze's table of changes lies; asked once in a run. #}
{% macro ddl_of_changes() -%}
    {%- set known = graph.get(invocation_id ~ 'ddl_of_changes') -%}
    {%- set ddl = known or value_of(
        'show create table ' ~ var('bronze_catalog') ~ '.'
        ~ var('bronze_schema') ~ '.loan_applications_changes', ''
    ) -%}
    {%- do graph.update({invocation_id ~ 'ddl_of_changes': ddl}) -%}
    {{ return(ddl) }}
{%- endmacro %}
