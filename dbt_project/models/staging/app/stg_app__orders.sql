{{ config(enabled='app' in var('sources')) }}

with source as (
    select * from {{ source('app', 'purchases') }}
),

renamed as (
    select
        _record_id as source_record_id,
        account_id as contact_record_id,
        purchased_at as ordered_at,
        case when refunded_at is null then 'paid' else 'refunded' end as status,
        'app' as channel,
        cast(quantity * price_minor / 100.0 as decimal(18, 2)) as gross_amount,
        cast(case when refunded_at is null then 0 else quantity * price_minor / 100.0 end as decimal(18, 2)) as refund_amount,
        currency,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
