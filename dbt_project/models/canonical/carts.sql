{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_cart_changes'},
    pre_hook="{{ delete_changed('int_cart_changes', 'cart_id') }}",
    post_hook="{{ mark_as_read('int_cart_changes') }}",
) }}
-- depends_on: {{ ref('int_cart_changes') }}
-- noqa: disable=LT02
with activity as (
    select * from {{ ref('int_cart_activity') }}
    {%- if is_incremental() %}
    where {{ changed('int_cart_changes', 'cart_id') }}
    {%- endif %}
),

items as (
    select
        cart_id,
        sum(quantity) as item_count,
        sum(quantity * unit_price) as cart_value
    from {{ ref('cart_items') }}
    {%- if is_incremental() %}
    where {{ changed('int_cart_changes', 'cart_id') }}
    {%- endif %}
    group by cart_id
),

touched as (
    select
        cart_id,
        min(event_at) as created_at,
        max(event_at) as last_activity_at,
        min(case when event_name = 'Checkout Started' then event_at end) as checkout_started_at,
        {{ first_by('anonymous_id', 'event_at desc, event_id') }} as anonymous_id,
        {{ first_by('user_id', 'case when user_id is null then 1 else 0 end, event_at desc, event_id') }} as user_id,
        {{ first_by('currency', 'case when currency is null then 1 else 0 end, event_at desc, event_id') }} as currency,
        min(source_system) as source_system,
        max(loaded_at) as loaded_at
    from activity
    group by cart_id
),

orders as (
    select * from {{ ref('orders') }}
    where
        cart_id is not null
        {%- if is_incremental() %}
        and {{ changed('int_cart_changes', 'cart_id') }}
        {%- endif %}
),

-- The first order of the cart in the 24 hours from its last activity.
converted as (
    select
        touched.cart_id,
        {{ first_by('orders.order_id', 'orders.ordered_at, orders.order_id') }} as order_id
    from touched
    inner join orders on touched.cart_id = orders.cart_id
    where
        orders.ordered_at >= touched.last_activity_at
        and orders.ordered_at < {{ hours_after('touched.last_activity_at', 24) }}
        and orders.ordered_at <= {{ as_of() }}
    group by touched.cart_id
),

judged as (
    select
        touched.*,
        items.item_count,
        items.cart_value,
        converted.order_id,
        case
            when converted.order_id is not null then 'converted'
            when {{ hours_after('touched.last_activity_at', 24) }} <= {{ as_of() }} then 'abandoned'
            else 'open'
        end as status
    from touched
    left join items on touched.cart_id = items.cart_id
    left join converted on touched.cart_id = converted.cart_id
)

select
    cart_id,
    source_system,
    cart_id as source_record_id,
    anonymous_id,
    user_id,
    created_at,
    last_activity_at,
    checkout_started_at,
    cast(coalesce(item_count, 0) as integer) as item_count,
    cast(coalesce(cart_value, 0) as decimal(18, 2)) as cart_value,
    currency,
    status,
    case when status = 'abandoned' then {{ hours_after('last_activity_at', 24) }} end as abandoned_at,
    order_id,
    loaded_at
from judged
