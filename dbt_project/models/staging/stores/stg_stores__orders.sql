{{ config(enabled='stores' in var('sources')) }}

with source as (
    select * from {{ source('stores', 'receipts') }}
),

receipts as (
    select
        receipt_no as source_record_id,
        min(loyalty_card) as contact_record_id,
        min(sold_at) as ordered_at,
        'paid' as status,
        'store' as channel,
        cast(sum(quantity * unit_price) as decimal(18, 2)) as gross_amount,
        cast(sum(coalesce(discount, 0)) as decimal(18, 2)) as discount_amount,
        min(currency) as currency,
        max(_loaded_at) as loaded_at
    from source
    group by receipt_no
)

select * from receipts
