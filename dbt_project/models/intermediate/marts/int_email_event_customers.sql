{# Whose mail it was: everybody who gave the address that it went to. An address that identity blocked
   (a placeholder, a shared mailbox) is nobody's. A table: three
   audiences and customer_engagement ask for it. #}
{{ config(materialized='table') }}
with mails as (
    select * from {{ ref('email_events') }}
),

addresses as (
    select
        node_key,
        lower(trim(identifier_value)) as address,
        identifier_value as given_value
    from {{ ref('identifiers') }}
    where identifier_type = 'email'
),

blocked as (
    select
        node_key,
        given_value
    from {{ ref('stg_identity__identifiers') }}
    where identifier_type = 'email' and is_blocked
),

owners as (
    select distinct
        addresses.address,
        crosswalk.customer_id
    from addresses
    inner join {{ ref('stg_identity__crosswalk') }} as crosswalk on addresses.node_key = crosswalk.node_key
    left join blocked on addresses.node_key = blocked.node_key and addresses.given_value = blocked.given_value
    where blocked.node_key is null
)

select
    mails.email_event_id,
    owners.customer_id,
    mails.event_type,
    mails.event_at,
    mails.campaign_id,
    mails.is_machine_open
from mails
inner join owners on lower(trim(mails.email)) = owners.address
