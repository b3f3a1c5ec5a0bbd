-- How many files does a table consist of? Many small ones make it slow.
-- `content` is 0 for data, 1 and 2 for deletes that are not folded in yet.
select
    content,
    count(*) as files,
    sum(record_count) as rows_in_them,
    sum(file_size_in_bytes) as bytes_in_them
from gold."loan_features$files"
group by content
order by content;

-- In addition to `$files`, every table has `$snapshots`, `$history`, `$partitions`,
-- `$manifests`, `$refs` and `$properties`.
select *
from gold."loan_features$properties";
