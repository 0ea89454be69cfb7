{{ config(
    materialized='incremental',
    unique_key=['source_system', 'source_record_id'],
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': 'int_order_changes'},
    pre_hook="{{ delete_gone('int_order_changes') }}",
    post_hook="{{ mark_as_read('int_order_changes') }}",
) }}
-- depends_on: {{ ref('int_order_changes') }}
with staged as (
    {{ union_sources('orders', derived=['order_id', 'contact_key', 'net_revenue']) }}
)

select
    source_system || ':' || source_record_id as order_id,
    source_system,
    source_record_id,
    case when contact_record_id is not null then source_system || ':' || contact_record_id end as contact_key,
    contact_record_id,
    anonymous_id,
    cart_id,
    ordered_at,
    status,
    channel,
    gross_amount,
    coalesce(discount_amount, 0) as discount_amount,
    coalesce(tax_amount, 0) as tax_amount,
    coalesce(shipping_amount, 0) as shipping_amount,
    coalesce(refund_amount, 0) as refund_amount,
    -- Goods sold less discounts and refunds: without tax and shipping, nothing for what was cancelled.
    cast(case
        when status = 'cancelled' then 0
        else gross_amount - coalesce(discount_amount, 0) - coalesce(refund_amount, 0)
    end as decimal(18, 2)) as net_revenue,
    currency,
    coupon_code,
    loaded_at,
    load_id
from staged
{%- if is_incremental() %}
where {{ arrived('int_order_changes') }}
{%- endif %}
