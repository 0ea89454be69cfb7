{{ config(enabled='offline' in var('sources')) }}

with source as (
    select * from {{ source('offline', 'conversions') }}
),

renamed as (
    select
        _record_id as source_record_id,
        'crm' as contact_source,
        crm_contact as contact_record_id,
        closed_at as converted_at,
        kind as conversion_type,
        amount as revenue,
        currency,
        owner as sales_person,
        _loaded_at as loaded_at
    from source
)

select * from renamed
