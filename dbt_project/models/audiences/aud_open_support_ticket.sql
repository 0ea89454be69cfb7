select
    customers.customer_id,
    count(*) as tickets,
    min(tickets.created_at) as oldest_created_at
from {{ ref('golden_customers') }} as customers
inner join {{ ref('int_customer_contacts') }} as contacts on customers.customer_id = contacts.customer_id
inner join {{ ref('support_tickets') }} as tickets on contacts.contact_key = tickets.contact_key
where
    tickets.created_at <= {{ as_of() }}
    and (tickets.resolved_at is null or tickets.resolved_at > {{ as_of() }})
group by customers.customer_id
