with staged as (
    {{ union_sources('products', derived=['product_id']) }}
)

select
    source_system || ':' || source_record_id as product_id,
    source_system,
    source_record_id,
    sku,
    product_name,
    brand,
    category,
    price,
    currency,
    coalesce(is_active, true) as is_active,
    loaded_at
from staged
