{{ config(enabled='contacts' in var('sources').get('marketo', [])) }}

with source as (
    {{ landed('marketo', 'lead') }}
),

merges as (
    select {{ json_elements('merge_ids') }} as merged_id
    from ({{ landed('marketo', 'activity_merge_leads') }}) as activity
    where merge_ids is not null
),

gone as (
    select lead_id from ({{ landed('marketo', 'activity_delete_lead') }}) as activity
    union
    select {{ json_text('merged_id', '$') }} as lead_id from merges
),

renamed as (
    select
        source.id as source_record_id,
        first_name,
        last_name,
        email,
        coalesce(mobile_phone, phone) as phone,
        case when mobile_phone is not null then phone end as second_phone,
        date_of_birth as birth_date,
        address as address_line1,
        city,
        state as region,
        postal_code,
        {{ country_code('country') }} as country_code,
        created_at,
        coalesce(updated_at, created_at) as updated_at,
        -- Marketo's ids are never used again, so a lead that once was deleted stays so.
        coalesce(_fivetran_deleted, false) or gone.lead_id is not null as is_deleted,
        _fivetran_synced as loaded_at
    from source
    left join gone on source.id = gone.lead_id
)

select * from renamed
