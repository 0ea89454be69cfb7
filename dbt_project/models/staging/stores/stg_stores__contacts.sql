{{ config(enabled='stores' in var('sources')) }}

with source as (
    select * from {{ source('stores', 'loyalty_cards') }}
),

renamed as (
    select
        _record_id as source_record_id,
        card_no as loyalty_card,
        first_name,
        last_name,
        email,
        phone,
        {{ parse_date('birth_date', '%Y-%m-%d') }} as birth_date,
        street as address_line1,
        city,
        postcode as postal_code,
        {{ country_code('country') }} as country_code,
        tier as loyalty_tier,
        points as loyalty_points,
        cast(joined_on as timestamp) as created_at,
        coalesce(updated_at, cast(joined_on as timestamp)) as updated_at,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
