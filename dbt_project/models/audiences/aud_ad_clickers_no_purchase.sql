with clicks as (
    select
        customer_id,
        min(event_at) as first_clicked_at,
        max(event_at) as last_clicked_at,
        {{ first_by('channel', 'event_at desc, event_id') }} as channel
    from {{ ref('int_event_customers') }}
    where
        channel in ('paid', 'paid_search', 'paid_social', 'paid_other', 'display')
        and event_type in ('page', 'screen')
        and event_at > {{ days_before(as_of(), 30) }}
        and event_at <= {{ as_of() }}
    group by customer_id
)

select
    customers.customer_id,
    clicks.channel,
    clicks.last_clicked_at
from {{ ref('customer_orders') }} as customers
inner join clicks on customers.customer_id = clicks.customer_id
where customers.last_order_at is null or customers.last_order_at < clicks.first_clicked_at
