{{ config(enabled='consents' in var('sources')) }}

with source as (
    select * from {{ source('consents', 'consents') }}
),

renamed as (
    select
        _record_id as source_record_id,
        lower(trim(identifier_type)) as identifier_type,
        identifier as identifier_value,
        lower(trim(purpose)) as purpose,
        lower(trim(channel)) as channel,
        lower(trim(status)) as status,
        legal_basis,
        jurisdiction,
        recorded_at as consented_at,
        _loaded_at as loaded_at
    from source
)

select * from renamed
