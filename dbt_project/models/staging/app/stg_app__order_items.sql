{{ config(enabled='app' in var('sources')) }}

with source as (
    select * from {{ source('app', 'purchases') }}
),

renamed as (
    select
        _record_id as source_record_id,
        _record_id as order_record_id,
        1 as line_number,
        product_code as product_id,
        product_title as product_name,
        category,
        quantity,
        cast(price_minor / 100.0 as decimal(18, 2)) as unit_price,
        cast(quantity * price_minor / 100.0 as decimal(18, 2)) as net_amount,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
