{{ config(enabled='consents' in var('sources')) }}

with source as (
    select * from {{ source('consents', 'consents') }}
),

renamed as (
    select
        _record_id as source_record_id,
        identifier_type,
        identifier as identifier_value,
        purpose,
        channel,
        status,
        legal_basis,
        jurisdiction,
        recorded_at as consented_at,
        _loaded_at as loaded_at
    from source
)

select * from renamed
