-- Each object of a partition begins where the one before ended. What landed
-- after a gap has been processed; the records in it have not landed or are in a
-- folder that was not read: `dbt build --full-refresh` reads all of them.
with

landed as (

    select
        *,
        topic_id || '+' || cast(partition as varchar) as input_id
    from {{ ref('int_loan_applications__landed') }}
    where topic_id is not null

),

progress as (

    select * from {{ ref('int_loan_applications__progress') }}

)

select
    landed.input_id,
    progress.next_offset as missing_from,
    min(landed.object_start) as next_landed
from landed
left join progress
    on landed.input_id = progress.input_id
where landed.object_start > coalesce(progress.next_offset, 0)
group by landed.input_id, progress.next_offset
