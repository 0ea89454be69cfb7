{# Everything that was done to a cart before "now". An order is no activity: it ends the cart. #}
with events as (
    select * from {{ ref('events') }}
)

select
    event_id,
    cart_id,
    event_name,
    event_at,
    anonymous_id,
    user_id,
    product_id,
    coalesce(quantity, 1) as quantity,
    unit_price,
    currency,
    source_system,
    loaded_at,
    load_id
from events
where
    cart_id is not null
    and event_type = 'track'
    and event_name in ('Product Added', 'Product Removed', 'Cart Viewed', 'Checkout Started')
    and event_at <= {{ as_of() }}
