{# Whose email it was. An address that several customers share counts for each of them. #}
with email_events as (
    select * from {{ ref('email_events') }}
    where event_at <= {{ as_of() }}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
    where identifier_type = 'email' and not is_blocked
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

owners as (
    select distinct
        lower(identifiers.given_value) as email,
        crosswalk.customer_id
    from identifiers
    inner join crosswalk on identifiers.node_key = crosswalk.node_key
)

select
    email_events.email_event_id,
    owners.customer_id,
    email_events.event_type,
    email_events.event_at,
    email_events.is_machine_open,
    email_events.campaign_id
from email_events
inner join owners on lower(trim(email_events.email)) = owners.email
