-- A test compares it with the state: both are there when the test runs.
-- depends_on: {{ ref('int_loan_applications__state') }}
with

versions as (

    select * from {{ ref('int_loan_applications__versions') }}

),

truncate_claims as (

    select * from {{ ref('int_loan_applications__landed') }}
    where claim = 'truncate'

),

{{ order_versions() }},

{{ drop_repeats() }},

-- The source's clock may be set back; times in the history never decrease.
timed as (

    select
        *,
        max(changed_at) over (
            partition by application_id
            order by log_position, tx_id is not null, version_id
        ) as valid_from,
        row_number() over (
            partition by application_id
            order by log_position, tx_id is not null, version_id
        ) as version_number,
        array_min(transform(later_truncates, t -> t[3])) as truncated_at
    from distinct_versions

),

followed as (

    select
        *,
        lead(row(valid_from, first_known_at, is_deleted)) over (
            partition by application_id
            order by version_number
        ) as successor,
        array_min(
            transform(
                filter(later_truncates, t -> t[3] = truncated_at), t -> t[4]
            )
        ) as truncate_known_at
    from timed

),

accepted_values as (

    select multimap_agg(attribute, value) as accepted
    from {{ ref('accepted_values') }}

),

checked as (

    select
        followed.*,
        cardinality(
            {{ broken_rules(var('loan_application_rules'), 'reject') }}
        ) = 0 as is_accepted
    from followed
    cross join accepted_values

),

history as (

    select
        ---------- ids
        application_id,
        version_id,
        version_number,

        ---------- attributes
        {{ loan_attributes() }},

        ---------- quality
        is_accepted,

        ---------- from when to when, in the source
        valid_from,
        least(
            coalesce(successor[1], truncated_at),
            coalesce(truncated_at, successor[1])
        ) as valid_to,

        ---------- since when here
        first_known_at as _known_at,
        case
            when truncated_at <= coalesce(successor[1], truncated_at)
                then truncate_known_at
            when successor[3] then successor[2]
        end as _gone_known_at

    from checked
    where not is_deleted

)

select * from history
