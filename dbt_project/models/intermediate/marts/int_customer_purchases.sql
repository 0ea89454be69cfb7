{# What each buyer's purchases come to; what is relative to "now" is computed from it in customer_orders. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_customer_changes'},
    pre_hook="{{ delete_changed('int_customer_changes', 'customer_id') }}",
    post_hook="{{ mark_as_read('int_customer_changes') }}",
) }}
-- depends_on: {{ ref('int_customer_changes') }}
-- noqa: disable=LT02
select
    customer_id,
    count(*) as order_count,
    sum(net_revenue) as revenue,
    min(ordered_at) as first_order_at,
    max(ordered_at) as last_order_at,
    count(distinct ordered_on) - 1 as frequency,
    {{ first_by('channel', 'ordered_at desc, order_id') }} as last_order_channel
from {{ ref('purchases') }}
where
    customer_id is not null
    {%- if is_incremental() %}
    and {{ changed('int_customer_changes', 'customer_id') }}
    {%- endif %}
group by customer_id
