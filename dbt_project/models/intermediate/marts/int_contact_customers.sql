{# Whose a contact is today; one that was deleted is nobody's. #}
with contacts as (
    select
        contact_key,
        is_deleted
    from {{ ref('contacts') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
)

select
    contacts.contact_key,
    crosswalk.customer_id
from contacts
inner join crosswalk on contacts.contact_key = crosswalk.node_key
where not contacts.is_deleted
