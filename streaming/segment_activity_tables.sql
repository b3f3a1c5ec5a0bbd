-- What Flink writes of segments: figures per minute of application, by the run of the job that
-- counted them, and from when on a run has all changes. A run is the job as it is over one topic:
-- what a changed job, or one over a topic that was made again, counts is not mixed with it.
-- Run as Flink's user at each start of the job. Names are filled in by streaming/job.py.

create table if not exists {schema}.{activity} (
    run text,
    segment text,
    created_minute timestamp with time zone,
    applications bigint not null,
    approved bigint not null,
    total_amount numeric(38, 2) not null,
    primary key (run, segment, created_minute)
) with (fillfactor = 50);

create table if not exists {schema}.{activity_began} (
    run text primary key,
    began_at timestamp with time zone not null,
    is_current boolean not null default false
);

-- The first time counts.
create or replace trigger keep_first before update of began_at on {schema}.{activity_began}
for each row when (new.began_at >= old.began_at)
execute function {schema}.leave_out();
