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
        try(cast(json_parse(after) as map (varchar, json))) as raw,
        try(cast(json_parse(after) as {{ loan_row_type() }}))
            as image,
        json_extract_scalar(after, '$.created_at') as created_text,
        json_extract_scalar(after, '$.updated_at') as updated_text
    from source

),

timed as (

    select
        *,
        array_except({{ loan_column_names() }}, map_keys(raw))
            as missing_columns,
        {{ to_time('created_text') }} as created_at,
        {{ to_time('updated_text') }} as updated_at
    from parsed

),

-- Column by column only where the row as a whole cannot be read.
judged as (

    select
        *,
        if(
            op in ('c', 'u', 'r')
            and (
                image is null
                or cardinality(missing_columns) > 0
                or (created_at is null and created_text is not null)
                or (updated_at is null and updated_text is not null)
                or after like '%"__debezium_unavailable_value"%'
            ),
            {{ unreadable_in_change('raw', loan_columns()) }}
        ) as unreadable
    from timed

),

renamed as (

    select
        ---------- ids
        try_cast(json_extract_scalar(key, '$.application_id') as bigint)
            as application_id,

        ---------- what kind
        case
            when problem is not null then 'dead letter'
            when op = 't' then 'truncate'
            when
                try_cast(
                    json_extract_scalar(key, '$.application_id') as bigint
                ) is null
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
        created_at,
        updated_at,
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
        unreadable,
        case
            when problem is not null then problem
            when op = 't' then null
            when
                try_cast(
                    json_extract_scalar(key, '$.application_id') as bigint
                ) is null
                then 'the key has no application_id'
            when op = 'd' then null
            when cardinality(missing_columns) > 0
                then
                    'the source no longer has '
                    || array_join(missing_columns, ', ')
        end as problem,

        ---------- partition
        dt,
        hour

    from judged

)

select * from renamed
