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
    loaded_at
from staged
