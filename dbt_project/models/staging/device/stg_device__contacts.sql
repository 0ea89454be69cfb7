{{ config(enabled='device' in var('sources')) }}

with source as (
    select * from {{ source('device', 'registrations') }}
),

renamed as (
    select
        _record_id as source_record_id,
        serial as device_serial,
        {{ json_text('owner', '$.name') }} as full_name,
        {{ json_text('owner', '$.email') }} as email,
        {{ country_code('country') }} as country_code,
        registered_at as created_at,
        registered_at as updated_at,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
