{{ config(
    materialized='incremental',
    unique_key=['source_system', 'source_record_id'],
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': 'int_order_item_changes'},
    pre_hook="{{ delete_gone('int_order_item_changes') }}",
    post_hook="{{ mark_as_read('int_order_item_changes') }}",
) }}
-- depends_on: {{ ref('int_order_item_changes') }}
with staged as (
    {{ union_sources('order_items', derived=['order_id']) }}
)

select
    source_system || ':' || order_record_id as order_id,
    line_number,
    source_system,
    source_record_id,
    order_record_id,
    product_id,
    product_name,
    category,
    quantity,
    unit_price,
    net_amount,
    unit_cost,
    loaded_at,
    load_id
from staged
{%- if is_incremental() %}
where {{ arrived('int_order_item_changes') }}
{%- endif %}
