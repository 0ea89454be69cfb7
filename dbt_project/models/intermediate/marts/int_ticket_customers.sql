with tickets as (
    select * from {{ ref('support_tickets') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
)

select
    tickets.ticket_id,
    crosswalk.customer_id,
    tickets.created_at,
    tickets.resolved_at,
    tickets.status
from tickets
inner join crosswalk on tickets.contact_key = crosswalk.node_key
