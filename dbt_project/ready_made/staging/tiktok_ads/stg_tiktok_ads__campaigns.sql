{{ config(enabled='campaigns' in var('sources').get('tiktok_ads', [])) }}

with versions as (
    {{ landed('tiktok_ads', 'campaign_history') }}
),

source as (
    {{ newest_version('versions', 'campaign_id', 'updated_at') }}
),

renamed as (
    select
        campaign_id as source_record_id,
        'tiktok_ads' as platform,
        advertiser_id as account_id,
        campaign_name,
        'paid_social' as channel,
        lower(objective_type) as objective,
        cast(create_time as date) as started_on,
        cast(null as date) as ended_on,
        _fivetran_synced as loaded_at
    from source
)

select * from renamed
