with carts as (
    select * from {{ ref('carts') }}
    where status = 'abandoned'
),

-- A cart once for each of its customers.
cart_customers as (
    select distinct
        cart_id,
        customer_id
    from {{ ref('int_event_customers') }}
    where cart_id is not null
),

customers as (
    select customer_id from {{ ref('golden_customers') }}
)

select
    customers.customer_id,
    count(*) as abandoned_carts,
    {{ first_by('carts.cart_id', 'carts.last_activity_at desc, carts.cart_id') }} as cart_id,
    {{ first_by('carts.cart_value', 'carts.last_activity_at desc, carts.cart_id') }} as cart_value,
    {{ first_by('carts.currency', 'carts.last_activity_at desc, carts.cart_id') }} as currency,
    max(carts.abandoned_at) as abandoned_at
from carts
inner join cart_customers on carts.cart_id = cart_customers.cart_id
inner join customers on cart_customers.customer_id = customers.customer_id
group by customers.customer_id
