{{ config(enabled='shop' in var('sources')) }}

with source as (
    select * from {{ source('shop', 'products') }}
),

renamed as (
    select
        _record_id as source_record_id,
        sku,
        title as product_name,
        vendor as brand,
        product_type as category,
        price,
        currency,
        status = 'active' as is_active,
        _loaded_at as loaded_at
    from source
)

select * from renamed
