{{ config(enabled='finance' in var('sources')) }}

with source as (
    select * from {{ source('finance', 'exchange_rates') }}
),

renamed as (
    select
        _record_id as source_record_id,
        currency,
        valid_from,
        usd_rate,
        _loaded_at as loaded_at
    from source
)

select * from renamed
