{{ config(enabled='ad_spend_daily' in var('sources').get('linkedin_ads', [])) }}

with source as (
    {{ landed('linkedin_ads', 'ad_analytics_by_creative') }}
),

account_versions as (
    {{ landed('linkedin_ads', 'account_history') }}
),

accounts as (
    {{ newest_version('account_versions', 'id', 'last_modified_time') }}
),

campaign_versions as (
    {{ landed('linkedin_ads', 'campaign_history') }}
),

campaigns as (
    {{ newest_version('campaign_versions', 'id', 'last_modified_time') }}
),

creative_versions as (
    {{ landed('linkedin_ads', 'creative_history') }}
),

creatives as (
    {{ newest_version('creative_versions', 'id', 'coalesce(last_modified_at, last_modified_time)') }}
),

renamed as (
    select
        {{ joined_key(['cast(source.day as date)', 'source.creative_id']) }} as source_record_id,
        cast(source.day as date) as date_day,
        'linkedin_ads' as platform,
        campaigns.account_id,
        campaigns.campaign_group_id as campaign_record_id,
        creatives.campaign_id as ad_group_id,
        source.creative_id as ad_id,
        source.creative_id,
        cast(null as varchar) as placement,
        source.impressions,
        source.clicks,
        cast(source.cost_in_local_currency as decimal(18, 2)) as spend,
        coalesce(source.external_website_conversions, 0) + coalesce(source.one_click_leads, 0) as conversions,
        cast(source.conversion_value_in_local_currency as decimal(18, 2)) as conversions_value,
        accounts.currency,
        coalesce(source._fivetran_synced, source.day) as loaded_at
    from source
    left join creatives on source.creative_id = creatives.id
    left join campaigns on creatives.campaign_id = campaigns.id
    left join accounts on campaigns.account_id = accounts.id
)

select * from renamed
