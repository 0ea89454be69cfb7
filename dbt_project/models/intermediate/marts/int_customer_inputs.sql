{# Everything that figures of a customer are made of, up to `as_of`, a hash each: records and what excludes
   their values, identifiers, ids that lead to them, visits, orders. Found by its results and not by its causes: whatever moved
   an order or a visit to somebody else, it is there in other rows. #}
{%- set of_identifiers = [
    "'node'", 'crosswalk.node_key', 'identifier_type', 'identifier_value', 'given_value', 'is_verified', 'is_blocked',
    'first_seen_at', 'last_seen_at',
] %}
{%- set of_contacts = ["'contact'", 'unreachable.email is null'] + told_by('contacts', 'contact_key') + excluded_by_now('contacts') %}
with crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
),

contacts as (
    select * from {{ ref('contacts') }}
),

unreachable as (
    select * from {{ ref('int_unreachable_emails') }}
),

visits as (
    select * from {{ ref('int_visit_customers') }}
    where customer_id is not null
),

orders as (
    select * from {{ ref('int_order_customers') }}
),

ids as (
    select * from {{ ref('stg_identity__moved_ids') }}
    where current_customer_id is not null
)

select
    crosswalk.customer_id as changed_id,
    {{ row_hash(of_identifiers | join(', ')) }} as row_hash
from crosswalk
left join identifiers on crosswalk.node_key = identifiers.node_key
union all
select
    crosswalk.customer_id as changed_id,
    {{ row_hash(of_contacts | join(', ')) }} as row_hash
from contacts
inner join crosswalk on contacts.contact_key = crosswalk.node_key
left join unreachable on lower(trim(contacts.email)) = unreachable.email
union all
select
    customer_id as changed_id,
    {{ row_hash("'visit', visit_hash") }} as row_hash
from visits
union all
select
    coalesce(customer_id, order_id) as changed_id,
    {{ row_hash("'order', order_id, ordered_at, status, channel, source_system, cart_id, net_revenue") }} as row_hash
from orders
union all
select
    current_customer_id as changed_id,
    {{ row_hash("'id', customer_id") }} as row_hash
from ids
