{{ config(enabled='campaigns' in var('sources').get('klaviyo', [])) }}

with source as (
    {{ landed('klaviyo', 'campaign') }}
),

renamed as (
    select
        id as source_record_id,
        'klaviyo' as platform,
        coalesce(name, subject) as campaign_name,
        'email' as channel,
        lower(campaign_type) as objective,
        cast(coalesce(sent_at, send_time) as date) as started_on,
        _fivetran_synced as loaded_at
    from source
    where not coalesce(_fivetran_deleted, false)
)

select * from renamed
