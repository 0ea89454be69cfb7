{# Everything that a cart is made of, a hash each: what was done to it, whether that is 24 hours ago (which
   may end the cart), and its orders. An event of the same id and load is the same event. #}
with activity as (
    select * from {{ ref('int_cart_activity') }}
),

orders as (
    select * from {{ ref('orders') }}
    where cart_id is not null and ordered_at <= {{ as_of() }}
)

select
    cart_id as changed_id,
    {{ row_hash("'event', event_id, loaded_at, load_id, " ~ hours_after('event_at', 24) ~ ' <= ' ~ as_of()) }} as row_hash
from activity
union all
select
    cart_id as changed_id,
    {{ row_hash("'order', order_id, ordered_at") }} as row_hash
from orders
