{{ config(enabled='shop' in var('sources')) }}

with source as (
    select * from {{ source('shop', 'orders') }}
),

lines as (
    select
        _record_id,
        _loaded_at,
        _load_id,
        {{ json_elements('line_items') }} as line
    from source
),

renamed as (
    select
        _record_id || '|' || {{ json_text('line', '$.line') }} as source_record_id,
        _record_id as order_record_id,
        {{ as_type(json_text('line', '$.line'), 'integer') }} as line_number,
        {{ json_text('line', '$.sku') }} as product_id,
        {{ json_text('line', '$.title') }} as product_name,
        {{ json_text('line', '$.category') }} as category,
        {{ as_type(json_text('line', '$.quantity'), 'integer') }} as quantity,
        {{ as_type(json_text('line', '$.unit_price'), 'decimal(18, 2)') }} as unit_price,
        {{ as_type(json_text('line', '$.net_amount'), 'decimal(18, 2)') }} as net_amount,
        {{ as_type(json_text('line', '$.unit_cost'), 'decimal(18, 2)') }} as unit_cost,
        _loaded_at as loaded_at,
        _load_id as load_id
    from lines
)

select * from renamed
