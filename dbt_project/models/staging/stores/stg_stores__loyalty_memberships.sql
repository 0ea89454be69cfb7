{{ config(enabled='stores' in var('sources')) }}

with source as (
    select * from {{ source('stores', 'loyalty_cards') }}
),

renamed as (
    select
        _record_id as source_record_id,
        _record_id as contact_record_id,
        tier,
        points,
        joined_on,
        _loaded_at as loaded_at
    from source
)

select * from renamed
