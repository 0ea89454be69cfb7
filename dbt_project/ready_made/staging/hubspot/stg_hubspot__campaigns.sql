{{ config(enabled='campaigns' in var('sources').get('hubspot', [])) }}

with source as (
    {{ landed('hubspot', 'email_campaign') }}
),

renamed as (
    select
        id as source_record_id,
        'hubspot' as platform,
        app_id as account_id,
        coalesce(name, subject) as campaign_name,
        'email' as channel,
        lower(type) as objective,
        _fivetran_synced as loaded_at
    from source
)

select * from renamed
