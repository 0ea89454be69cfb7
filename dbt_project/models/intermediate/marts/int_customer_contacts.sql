{# Contacts with their customer, and what is known of their email and phone. All columns of contacts
   are handed on, so that a new one reaches golden_customers without a change here. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_customer_changes'},
    pre_hook="{{ delete_changed('int_customer_changes', 'customer_id') }}",
    post_hook="{{ mark_as_read('int_customer_changes') }}",
) }}
-- depends_on: {{ ref('int_customer_changes') }}
-- noqa: disable=LT02
with crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
    {%- if is_incremental() %}
    where {{ changed('int_customer_changes', 'customer_id') }}
    {%- endif %}
),

contacts as (
    select * from {{ ref('contacts') }}
    where
        not is_deleted
        {%- if is_incremental() %}
        and contact_key in (select crosswalk.node_key from crosswalk)
        {%- endif %}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
    {%- if is_incremental() %}
    where node_key in (select crosswalk.node_key from crosswalk)
    {%- endif %}
),

unreachable as (
    select * from {{ ref('int_unreachable_emails') }}
),

-- One row a contact, however many identifiers it has.
known as (
    select
        contacts.contact_key,
        bool_or(identifiers.is_verified) as has_verified_identifier,
        bool_or(identifiers.identifier_type = 'email') as has_email,
        bool_or(identifiers.identifier_type = 'phone') as has_phone,
        bool_or(identifiers.identifier_type = 'email' and identifiers.is_verified) as email_is_verified,
        bool_or(identifiers.identifier_type = 'phone' and identifiers.is_verified) as phone_is_verified,
        bool_or(
            identifiers.identifier_type = 'email'
            and identifiers.given_value = trim(contacts.email)
            and identifiers.is_blocked
        ) as email_is_blocked,
        bool_or(
            identifiers.identifier_type = 'phone'
            and identifiers.given_value = trim(contacts.phone)
            and identifiers.is_blocked
        ) as phone_is_blocked
    from contacts
    inner join identifiers on contacts.contact_key = identifiers.node_key
    group by contacts.contact_key
)

select
    crosswalk.customer_id,
    contacts.*, -- noqa: AM04
    coalesce(known.has_verified_identifier, false) as has_verified_identifier,
    coalesce(known.email_is_verified, false) as email_is_verified,
    coalesce(known.phone_is_verified, false) as phone_is_verified,
    coalesce(known.email_is_blocked, false) as email_is_blocked,
    coalesce(known.phone_is_blocked, false) as phone_is_blocked,
    -- Identity keeps only what can be an address or a number at all.
    not coalesce(known.has_email, false) as email_is_invalid,
    not coalesce(known.has_phone, false) as phone_is_invalid,
    unreachable.email is not null as email_is_bounced
from contacts
inner join crosswalk on contacts.contact_key = crosswalk.node_key
left join known on contacts.contact_key = known.contact_key
left join unreachable on lower(trim(contacts.email)) = unreachable.email
