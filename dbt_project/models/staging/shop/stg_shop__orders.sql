{{ config(enabled='shop' in var('sources')) }}

with source as (
    select * from {{ source('shop', 'orders') }}
),

renamed as (
    select
        _record_id as source_record_id,
        customer_id as contact_record_id,
        anonymous_id,
        cart_token as cart_id,
        created_at as ordered_at,
        status,
        case
            when source_name in ('ios', 'android') then 'app'
            when source_name = 'phone' then 'phone'
            else 'online'
        end as channel,
        gross_amount,
        discount_amount,
        tax_amount,
        shipping_amount,
        refund_amount,
        currency,
        coupon_code,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
