{{ config(enabled='app' in var('sources')) }}

with source as (
    select * from {{ source('app', 'accounts') }}
),

renamed as (
    select
        _record_id as source_record_id,
        display_name as full_name,
        email,
        coalesce(email_confirmed, false) as is_email_verified,
        shop_customer_id as user_id,
        {{ country_code('country') }} as country_code,
        created_at,
        coalesce(updated_at, created_at) as updated_at,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
