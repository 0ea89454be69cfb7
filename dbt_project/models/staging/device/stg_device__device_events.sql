{{ config(enabled='device' in var('sources')) }}

with source as (
    select * from {{ source('device', 'telemetry') }}
),

renamed as (
    select
        _record_id as source_record_id,
        serial as device_id,
        owner_id as contact_record_id,
        event as event_name,
        ts as event_at,
        data as properties,
        firmware,
        _loaded_at as loaded_at
    from source
)

select * from renamed
