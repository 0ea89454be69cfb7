{{ config(enabled='stores' in var('sources')) }}

with source as (
    select * from {{ source('stores', 'receipts') }}
),

renamed as (
    select
        _record_id as source_record_id,
        receipt_no as order_record_id,
        line_no as line_number,
        sku as product_id,
        product_name,
        category,
        quantity,
        unit_price,
        cast(quantity * unit_price - coalesce(discount, 0) as decimal(18, 2)) as net_amount,
        unit_cost,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
