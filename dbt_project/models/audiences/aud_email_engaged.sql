select
    customers.customer_id,
    count(distinct mails.email_event_id) as opens_and_clicks,
    max(mails.event_at) as last_engaged_at
from {{ ref('golden_customers') }} as customers
inner join {{ ref('int_email_event_customers') }} as mails on customers.customer_id = mails.customer_id
where
    mails.event_type in ('open', 'click')
    and not mails.is_machine_open
    and mails.event_at > {{ days_before(as_of(), 90) }}
    and mails.event_at <= {{ as_of() }}
group by customers.customer_id
