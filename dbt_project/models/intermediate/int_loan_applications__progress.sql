{% set is_whole = is_a_whole_fold() %}

with

landed as (

    select * from {{ ref('int_loan_applications__landed') }}

),

objects as (

    select distinct
        topic_id || '+' || cast(partition as varchar) as input_id,
        object_start,
        object_end,
        _object
    from landed
    where _object is not null

),

known as (

    {% if is_incremental() %}
        select
            input_id,
            next_offset
        from {{ this }}
        where input_kind = 'partition'
    {% else %}
        select
            cast(null as varchar) as input_id,
            cast(null as bigint) as next_offset
        where false
    {% endif %}

),

-- An object begins where the one before it ended. One that does not is beyond a
-- gap: it has been folded in, but `next_offset` stays before the gap.
ordered as (

    select
        objects.*,
        coalesce(known.next_offset, 0) as known_offset,
        coalesce(max(objects.object_end) over (
            partition by objects.input_id
            order by objects.object_start, objects.object_end
            rows between unbounded preceding and 1 preceding
        ), 0) as reached
    from objects
    left join known on objects.input_id = known.input_id

),

chained as (

    select
        *,
        count_if(object_start > greatest(reached, known_offset)) over (
            partition by input_id
            order by object_start, object_end
        ) as gaps_before
    from ordered

),

partitions as (

    select
        'partition' as input_kind,
        input_id,
        max(object_end) as next_offset,
        max_by(_object, object_end) as last_object
    from chained
    where
        gaps_before = 0
        and object_end > known_offset
    group by input_id

),

snapshots as (

    select
        'snapshot' as input_kind,
        snapshot_id as input_id,
        cast(null as bigint) as next_offset,
        cast(null as varchar) as last_object
    from {{ ref('int_batch_snapshots__effective') }}
    where table_name = 'loan_applications'

),

truncates as (

    select distinct
        'truncate' as input_kind,
        cast(lsn as varchar) as input_id,
        cast(null as bigint) as next_offset,
        cast(null as varchar) as last_object
    from landed
    where claim = 'truncate'

),

-- One row: rules that were changed back are new again.
rules as (

    select
        'rules' as input_kind,
        'rules' as input_id,
        cast(null as bigint) as next_offset,
        (
            {{ rules_in_force() }}
        ) as last_object

),

progress as (

    select * from rules
    union all
    select * from partitions
    union all
    select * from snapshots
    union all
    select * from truncates

)

-- depends_on: {{ ref('int_loan_applications__versions') }}
-- depends_on: {{ ref('int_loan_applications__unreadable') }}
select * from progress
{% if not is_whole %}
    -- Not all that landed is folded in by this run: the next reads it again.
    where false
{% endif %}
