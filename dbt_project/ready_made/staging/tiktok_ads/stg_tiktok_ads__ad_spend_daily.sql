{{ config(enabled='ad_spend_daily' in var('sources').get('tiktok_ads', [])) }}

with source as (
    {{ landed('tiktok_ads', 'ad_report_hourly') }}
),

accounts as (
    {{ landed('tiktok_ads', 'advertiser') }}
),

versions as (
    {{ landed('tiktok_ads', 'ad_history') }}
),

ads as (
    {{ newest_version('versions', 'ad_id', 'updated_at') }}
),

-- Hours are the account's own, and so are its days.
days as (
    select
        cast(stat_time_hour as date) as date_day,
        ad_id,
        sum(impressions) as impressions,
        sum(clicks) as clicks,
        sum(spend) as spend,
        sum(conversion) as conversions,
        sum(coalesce(total_purchase_value, 0) + coalesce(total_sales_lead_value, 0)) as conversions_value,
        max(_fivetran_synced) as loaded_at
    from source
    group by 1, 2
),

renamed as (
    select
        {{ joined_key(['days.date_day', 'days.ad_id']) }} as source_record_id,
        days.date_day,
        'tiktok_ads' as platform,
        ads.advertiser_id as account_id,
        ads.campaign_id as campaign_record_id,
        ads.adgroup_id as ad_group_id,
        days.ad_id,
        cast(null as varchar) as creative_id,
        cast(null as varchar) as placement,
        days.impressions,
        days.clicks,
        cast(days.spend as decimal(18, 2)) as spend,
        days.conversions,
        cast(days.conversions_value as decimal(18, 2)) as conversions_value,
        accounts.currency,
        days.loaded_at
    from days
    left join ads on days.ad_id = ads.ad_id
    left join accounts on ads.advertiser_id = accounts.id
)

select * from renamed
