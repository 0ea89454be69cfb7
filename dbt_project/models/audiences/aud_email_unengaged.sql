with mails as (
    select
        customer_id,
        sum(case when event_type = 'delivered' then 1 else 0 end) as delivered,
        sum(case when event_type in ('open', 'click') and not is_machine_open then 1 else 0 end) as opens_and_clicks,
        sum(case when event_type = 'unsubscribe' then 1 else 0 end) as unsubscribes
    from {{ ref('int_email_event_customers') }}
    where event_at > {{ days_before(as_of(), 90) }} and event_at <= {{ as_of() }}
    group by customer_id
)

select
    customers.customer_id,
    cast(mails.delivered as bigint) as delivered
from {{ ref('golden_customers') }} as customers
inner join mails on customers.customer_id = mails.customer_id
where
    mails.delivered > 0
    and mails.opens_and_clicks = 0
    and mails.unsubscribes = 0
