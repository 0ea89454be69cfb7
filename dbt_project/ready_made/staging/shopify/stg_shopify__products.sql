{{ config(enabled='products' in var('sources').get('shopify', [])) }}

with variants as (
    {{ landed('shopify', 'product_variant') }}
),

products as (
    {{ landed('shopify', 'product') }}
),

renamed as (
    select
        variants.id as source_record_id,
        coalesce(nullif(variants.sku, ''), variants.id) as sku,
        case
            when coalesce(variants.title, 'Default Title') = 'Default Title' then products.title
            else coalesce(products.title || ', ', '') || variants.title
        end as product_name,
        products.vendor as brand,
        products.product_type as category,
        variants.price,
        not coalesce(variants._fivetran_deleted, false)
        and not coalesce(products._fivetran_deleted, false)
        and lower(coalesce(products.status, 'active')) = 'active' as is_active,
        variants._fivetran_synced as loaded_at
    from variants
    left join products on variants.product_id = products.id
)

select * from renamed
