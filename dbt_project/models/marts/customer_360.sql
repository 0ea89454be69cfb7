with golden as (
    select * from {{ ref('golden_customers') }}
),

orders as (
    select * from {{ ref('customer_orders') }}
),

engagement as (
    select * from {{ ref('customer_engagement') }}
),

consents as (
    select
        customer_id,
        bool_or(purpose = 'marketing' and channel = 'email' and status = 'granted') as consent_email,
        bool_or(purpose = 'ads' and channel = 'ads' and status = 'granted') as consent_ads
    from {{ ref('customer_consents') }}
    group by customer_id
),

-- Quintiles among those who bought; 5 is best.
rfm as (
    select
        customer_id,
        ntile(5) over (order by last_order_at, customer_id) as rfm_recency,
        ntile(5) over (order by order_count, customer_id) as rfm_frequency,
        ntile(5) over (order by revenue, customer_id) as rfm_monetary
    from orders
    where order_count > 0
)

select
    golden.customer_id,
    orders.order_count,
    orders.revenue,
    orders.first_order_at,
    orders.last_order_at,
    orders.recency_days,
    orders.frequency,
    orders.t_days,
    orders.monetary_value,
    rfm.rfm_recency,
    rfm.rfm_frequency,
    rfm.rfm_monetary,
    case
        when rfm.rfm_recency is null then 'no orders'
        when rfm.rfm_recency >= 4 and rfm.rfm_frequency >= 4 then 'champions'
        when rfm.rfm_recency >= 4 then 'recent'
        when rfm.rfm_frequency >= 4 then 'at risk'
        when rfm.rfm_recency = 1 then 'lost'
        else 'regular'
    end as rfm_segment,
    engagement.sessions_30d,
    engagement.page_views_30d,
    golden.last_seen_at,
    engagement.last_channel,
    engagement.preferred_channel,
    golden.country_code,
    engagement.device_type,
    golden.loyalty_tier,
    engagement.open_cart_value,
    engagement.open_ticket_count,
    engagement.emails_opened_90d,
    engagement.emails_clicked_90d,
    engagement.last_email_engaged_at,
    coalesce(consents.consent_email, false) as consent_email,
    coalesce(consents.consent_ads, false) as consent_ads
from golden
left join orders on golden.customer_id = orders.customer_id
left join engagement on golden.customer_id = engagement.customer_id
left join consents on golden.customer_id = consents.customer_id
left join rfm on golden.customer_id = rfm.customer_id
