-- By any segmentation, the book adds up to silver: no application is missing
-- from all segments.
with

silver as (

    select
        count(*) as applications,
        count_if(loan_status = 1) as approvals
    from {{ ref('loan_applications') }}

),

book as (

    select
        segment_kind,
        sum(applications) as applications,
        sum(approvals) as approvals
    from {{ ref('loan_book_by_day_and_segment') }}
    group by segment_kind

)

select
    book.segment_kind,
    silver.applications as silver_applications,
    book.applications as book_applications,
    silver.approvals as silver_approvals,
    book.approvals as book_approvals
from silver
cross join book
where
    silver.applications != book.applications
    or silver.approvals != book.approvals
