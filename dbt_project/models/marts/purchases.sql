{#- Who ordered; of an order of nobody known, the order. -#}
{%- set buyer = 'coalesce(customer_id, order_id)' -%}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_customer_changes'},
    pre_hook="{{ delete_changed('int_customer_changes', 'coalesce(customer_id, order_id)') }}",
    post_hook="{{ mark_as_read('int_customer_changes') }}",
) }}
-- depends_on: {{ ref('int_customer_changes') }}
-- noqa: disable=LT02
with orders as (
    select * from {{ ref('int_order_customers') }}
    where
        status <> 'cancelled'
        {%- if is_incremental() %}
        and {{ changed('int_customer_changes', buyer) }}
        {%- endif %}
)

select
    order_id,
    customer_id,
    ordered_at,
    cast(ordered_at as date) as ordered_on,
    status,
    channel,
    source_system,
    cart_id,
    net_revenue,
    row_number() over (
        partition by {{ buyer }} order by ordered_at, order_id
    ) as order_number,
    -- Of nobody known no order is the first.
    customer_id is not null and row_number() over (
        partition by {{ buyer }} order by ordered_at, order_id
    ) = 1 as is_first_order
from orders
