{# Contacts with their customer; a contact point that identity blocked (a placeholder, the shop's
   own phone) is no attribute of anybody. #}
with contacts as (
    select * from {{ ref('contacts') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

blocked as (
    select distinct
        node_key,
        identifier_type,
        given_value
    from {{ ref('stg_identity__identifiers') }}
    where is_blocked
)

select
    crosswalk.customer_id,
    contacts.contact_key,
    contacts.source_system,
    contacts.first_name,
    contacts.last_name,
    case when blocked_email.node_key is null then contacts.email end as email,
    case when blocked_phone.node_key is null then contacts.phone end as phone,
    case
        when contacts.birth_date in (date '1900-01-01', date '1970-01-01', date '2000-01-01') then null
        else contacts.birth_date
    end as birth_date,
    contacts.address_line1,
    contacts.city,
    contacts.region,
    contacts.postal_code,
    contacts.country_code,
    contacts.loyalty_tier,
    contacts.created_at,
    contacts.updated_at
from contacts
inner join crosswalk on contacts.contact_key = crosswalk.node_key
left join blocked as blocked_email
    on
        contacts.contact_key = blocked_email.node_key
        and blocked_email.identifier_type = 'email'
        and trim(contacts.email) = blocked_email.given_value
left join blocked as blocked_phone
    on
        contacts.contact_key = blocked_phone.node_key
        and blocked_phone.identifier_type = 'phone'
        and trim(contacts.phone) = blocked_phone.given_value
where not contacts.is_deleted
