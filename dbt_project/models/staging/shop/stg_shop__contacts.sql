{{ config(enabled='shop' in var('sources')) }}

with source as (
    select * from {{ source('shop', 'customers') }}
),

renamed as (
    select
        _record_id as source_record_id,
        id as user_id,
        first_name,
        last_name,
        email,
        coalesce(email_verified, false) as is_email_verified,
        phone,
        {{ parse_date('date_of_birth', '%Y-%m-%d') }} as birth_date,
        {{ json_text('default_address', '$.address1') }} as address_line1,
        {{ json_text('default_address', '$.city') }} as city,
        {{ json_text('default_address', '$.province') }} as region,
        {{ json_text('default_address', '$.zip') }} as postal_code,
        {{ country_code(json_text('default_address', '$.country_code')) }} as country_code,
        created_at,
        coalesce(updated_at, created_at) as updated_at,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
