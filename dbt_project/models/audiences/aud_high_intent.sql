{#- N of "within the last N minutes". -#}
{%- set minutes = 1440 -%}
with views as (
    select
        events.customer_id,
        products.category,
        count(*) as views,
        max(events.event_at) as last_viewed_at
    from {{ ref('int_event_customers') }} as events
    inner join {{ ref('products') }} as products on events.product_id = products.sku
    where
        events.event_name = 'Product Viewed'
        and events.event_at > {{ minutes_before(as_of(), minutes) }}
        and events.event_at <= {{ as_of() }}
    group by events.customer_id, products.category
)

select
    customers.customer_id,
    {{ first_by('views.category', 'views.last_viewed_at desc, views.category') }} as category,
    cast(sum(views.views) as bigint) as views,
    max(views.last_viewed_at) as last_viewed_at
from {{ ref('golden_customers') }} as customers
inner join views on customers.customer_id = views.customer_id
group by customers.customer_id
