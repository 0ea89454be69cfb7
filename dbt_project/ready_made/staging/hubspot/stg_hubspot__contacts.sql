{{ config(enabled='contacts' in var('sources').get('hubspot', [])) }}

with source as (
    {{ landed('hubspot', 'contact') }}
),

merged as (
    select distinct vid_to_merge as id from ({{ landed('hubspot', 'contact_merge_audit') }}) as audit
),

renamed as (
    select
        source.id as source_record_id,
        property_firstname as first_name,
        property_lastname as last_name,
        property_email as email,
        coalesce(property_mobilephone, property_phone) as phone,
        case when property_mobilephone is not null then property_phone end as second_phone,
        {{ parse_date('property_date_of_birth', '%Y-%m-%d') }} as birth_date,
        property_address as address_line1,
        property_city as city,
        property_state as region,
        property_zip as postal_code,
        {{ country_code('property_country') }} as country_code,
        property_createdate as created_at,
        coalesce(property_lastmodifieddate, property_createdate) as updated_at,
        -- HubSpot keeps the record that lost a merge; its events and tickets still point at it.
        coalesce(_fivetran_deleted, false) or merged.id is not null as is_deleted,
        _fivetran_synced as loaded_at
    from source
    left join merged on source.id = merged.id
)

select * from renamed
