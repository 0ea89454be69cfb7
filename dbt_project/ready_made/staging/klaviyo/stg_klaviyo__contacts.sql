{{ config(enabled='contacts' in var('sources').get('klaviyo', [])) }}

with source as (
    {{ landed('klaviyo', 'person') }}
),

renamed as (
    select
        id as source_record_id,
        first_name,
        last_name,
        email,
        phone_number as phone,
        address_1 as address_line1,
        city,
        region,
        zip as postal_code,
        {{ country_code('country') }} as country_code,
        created as created_at,
        coalesce(updated, created) as updated_at,
        coalesce(_fivetran_deleted, false) as is_deleted,
        _fivetran_synced as loaded_at
    from source
)

select * from renamed
