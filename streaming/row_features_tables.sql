-- What Flink writes: of each application the newest row that it has seen in the stream, also one
-- that says "deleted" or "rejected", and of each partition the newest TRUNCATE. Run as Flink's
-- user at each start of the job. Feast's user deletes what gold has by now.
-- Names, and the features with their types, are filled in by streaming/job.py.

create table if not exists {schema}.{online} (
    {key} bigint primary key,
    input_id text not null,
    record_offset bigint not null,
    lsn bigint not null,
    has_features boolean not null,
    event_timestamp timestamp with time zone not null,
    created_timestamp timestamp with time zone not null,
    {features}
-- Room for an update in the row's own page: the index needs no new entry.
) with (fillfactor = 60);

create table if not exists {schema}.{truncated} (
    input_id text primary key,
    record_offset bigint not null,
    lsn bigint not null
);

-- A replay sends old rows again: an older row never replaces a newer one. Within a partition
-- offsets say which is newer; between two, as after a change of their number, the log's position.
create or replace function {schema}.leave_out() returns trigger language plpgsql as $body$
begin
    return null;
end
$body$;

create or replace trigger keep_newest before update on {schema}.{online}
for each row when (
    case
        when new.input_id = old.input_id then new.record_offset <= old.record_offset
        else new.lsn <= old.lsn
    end
) execute function {schema}.leave_out();

create or replace trigger keep_newest before update on {schema}.{truncated}
for each row when (
    case
        when new.input_id = old.input_id then new.record_offset <= old.record_offset
        else new.lsn <= old.lsn
    end
) execute function {schema}.leave_out();
