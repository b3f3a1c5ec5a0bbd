{{ config(tags=['history']) }}
{% set changed = changed_applications() or 'true' %}
-- The current state is the one open version of every application that is not
-- deleted.
with

state as (

    select * from {{ ref('int_loan_applications__state') }}
    where outcome != 'deleted' and {{ changed }}

),

history as (

    select * from {{ ref('loan_application_history') }}
    where valid_to is null and {{ changed }}

)

select
    state.application_id as state_id,
    history.application_id as history_id,
    state._version_id,
    history.version_id
from state
full outer join history
    on state.application_id = history.application_id
where
    state.application_id is null
    or history.application_id is null
    or state._version_id is distinct from history.version_id
    or row({{ loan_attributes('state') }})
    is distinct from row({{ loan_attributes('history') }})
