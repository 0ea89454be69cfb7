with customers as (
    select customer_id from {{ ref('golden_customers') }}
),

on_site as (
    select * from {{ ref('int_customer_visits') }}
),

recent_events as (
    select * from {{ ref('int_event_customers') }}
    where event_at > {{ days_before(as_of(), 30) }} and event_at <= {{ as_of() }}
),

emails as (
    select * from {{ ref('int_email_event_customers') }}
    where event_at <= {{ as_of() }}
),

-- Few carts are open: whose they are is asked for them alone.
carts as (
    select
        cart_id,
        cart_value
    from {{ ref('carts') }}
    where status = 'open'
),

cart_events as (
    select * from {{ ref('int_event_customers') }}
    where cart_id in (select carts.cart_id from carts) and event_at <= {{ as_of() }}
),

tickets as (
    select * from {{ ref('int_ticket_customers') }}
),

recent as (
    select
        customer_id,
        count(case when event_type in ('page', 'screen') then 1 end) as page_views_30d,
        count(distinct session_id) as sessions_30d
    from recent_events
    group by customer_id
),

-- What a mail program opens by itself says nothing of the reader.
by_email as (
    select
        customer_id,
        count(case when event_type = 'delivered' and event_at > {{ days_before(as_of(), 90) }} then 1 end) as emails_delivered_90d,
        count(case
            when event_type = 'open' and not is_machine_open and event_at > {{ days_before(as_of(), 90) }} then 1
        end) as emails_opened_90d,
        count(case when event_type = 'click' and event_at > {{ days_before(as_of(), 90) }} then 1 end) as emails_clicked_90d,
        max(case
            when event_type = 'click' or (event_type = 'open' and not is_machine_open) then event_at
        end) as last_email_engaged_at
    from emails
    group by customer_id
),

cart_customers as (
    select distinct
        cart_id,
        customer_id
    from cart_events
),

open_carts as (
    select
        cart_customers.customer_id,
        sum(carts.cart_value) as open_cart_value
    from carts
    inner join cart_customers on carts.cart_id = cart_customers.cart_id
    group by cart_customers.customer_id
),

-- Open at `as_of`: asked by then, and not answered, or answered later.
open_tickets as (
    select
        customer_id,
        count(*) as open_ticket_count
    from tickets
    where
        created_at <= {{ as_of() }}
        and (
            (resolved_at is null and status not in ('solved', 'closed'))
            or resolved_at > {{ as_of() }}
        )
    group by customer_id
)

select
    customers.customer_id,
    coalesce(on_site.event_count, 0) as event_count,
    coalesce(on_site.session_count, 0) as session_count,
    coalesce(recent.sessions_30d, 0) as sessions_30d,
    coalesce(recent.page_views_30d, 0) as page_views_30d,
    on_site.first_event_at,
    on_site.last_event_at,
    on_site.last_channel,
    on_site.preferred_channel,
    on_site.device_type,
    cast(coalesce(open_carts.open_cart_value, 0) as decimal(18, 2)) as open_cart_value,
    coalesce(open_tickets.open_ticket_count, 0) as open_ticket_count,
    coalesce(by_email.emails_delivered_90d, 0) as emails_delivered_90d,
    coalesce(by_email.emails_opened_90d, 0) as emails_opened_90d,
    coalesce(by_email.emails_clicked_90d, 0) as emails_clicked_90d,
    by_email.last_email_engaged_at
from customers
left join on_site on customers.customer_id = on_site.customer_id
left join recent on customers.customer_id = recent.customer_id
left join open_carts on customers.customer_id = open_carts.customer_id
left join open_tickets on customers.customer_id = open_tickets.customer_id
left join by_email on customers.customer_id = by_email.customer_id
