with

source as (

    select
        *,
        "$path" as _object
    from {{ source('bronze', 'loan_applications_changes') }}

),

-- The whole row in one pass; null where a value does not fit its type.
parsed as (

    select
        *,
        try(cast(json_parse(after) as row(
            person_age integer,
            person_gender varchar,
            person_education varchar,
            person_income decimal(12, 2),
            person_emp_exp integer,
            person_home_ownership varchar,
            loan_amnt decimal(12, 2),
            loan_intent varchar,
            loan_int_rate decimal(5, 2),
            loan_percent_income decimal(5, 2),
            cb_person_cred_hist_length integer,
            credit_score integer,
            previous_loan_defaults_on_file varchar,
            loan_status integer,
            created_at varchar,
            updated_at varchar
        ))) as image,
        array_except(
            array[
                'person_age', 'person_gender', 'person_education',
                'person_income', 'person_emp_exp', 'person_home_ownership',
                'loan_amnt', 'loan_intent', 'loan_int_rate',
                'loan_percent_income', 'cb_person_cred_hist_length',
                'credit_score', 'previous_loan_defaults_on_file',
                'loan_status', 'created_at', 'updated_at'
            ],
            map_keys(cast(json_parse(after) as map (varchar, json)))
        ) as missing_columns
    from source

),

renamed as (

    select
        ---------- ids
        cast(json_extract_scalar(key, '$.application_id') as bigint)
            as application_id,

        ---------- what kind
        case
            when problem is not null then 'dead letter'
            when op = 't' then 'truncate'
            when json_extract_scalar(key, '$.application_id') is null
                then 'without key'
            else 'event'
        end as claim,
        op = 'd' as is_deleted,

        ---------- applicant
        image.person_age,
        image.person_gender,
        image.person_education,
        image.person_income,
        image.person_emp_exp,
        image.person_home_ownership,

        ---------- loan
        image.loan_amnt,
        image.loan_intent,
        image.loan_int_rate,
        image.loan_percent_income,

        ---------- credit history
        image.cb_person_cred_hist_length,
        image.credit_score,
        image.previous_loan_defaults_on_file,

        ---------- decision
        image.loan_status,

        ---------- timestamps
        cast(
            from_iso8601_timestamp_nanos(image.created_at)
            as timestamp(6) with time zone
        ) as created_at,
        cast(
            from_iso8601_timestamp_nanos(image.updated_at)
            as timestamp(6) with time zone
        ) as updated_at,
        with_timezone(committed_at, 'UTC') as changed_at,
        with_timezone(landed_at, 'UTC') as known_at,

        ---------- position in the source's history
        lsn,
        tx_id,

        ---------- position in the stream
        topic_id,
        partition,
        "offset" as record_offset,
        object_start,
        object_end,
        _object,

        ---------- quality
        case
            when problem is not null then problem
            when op = 't' then null
            when json_extract_scalar(key, '$.application_id') is null
                then 'the key has no application_id'
            when op = 'd' then null
            when after is null then 'the event has no row'
            when cardinality(missing_columns) > 0
                then
                    'the source no longer has '
                    || array_join(missing_columns, ', ')
            when after like '%"__debezium_unavailable_value"%'
                then
                    'a long value was not sent: the table needs'
                    || ' REPLICA IDENTITY FULL'
            when image is null then 'a value does not fit its column''s type'
        end as problem,

        ---------- partition
        dt,
        hour

    from parsed

)

select * from renamed
