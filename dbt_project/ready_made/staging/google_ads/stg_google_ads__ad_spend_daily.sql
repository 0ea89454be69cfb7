{{ config(enabled='ad_spend_daily' in var('sources').get('google_ads', [])) }}

with source as (
    {{ landed('google_ads', 'ad_stats') }}
),

account_versions as (
    {{ landed('google_ads', 'account_history') }}
),

accounts as (
    {{ newest_version('account_versions', 'id', 'updated_at') }}
),

-- Devices and keywords come as rows of their own: a day of an ad on a network is their sum.
days as (
    select
        date,
        customer_id,
        campaign_id,
        -- Where the id is missing, the resource's name (customers/1/adGroups/2) ends with it.
        coalesce(ad_group_id, regexp_replace(ad_group, '^.*/', '')) as ad_group_id,
        ad_id,
        ad_network_type,
        sum(impressions) as impressions,
        sum(clicks) as clicks,
        sum(cost_micros) as cost_micros,
        sum(conversions) as conversions,
        sum(conversions_value) as conversions_value,
        max(_fivetran_synced) as loaded_at
    from source
    group by 1, 2, 3, 4, 5, 6
),

renamed as (
    select
        {{ joined_key(['days.date', 'days.customer_id', 'campaign_id', 'ad_group_id', 'ad_id', 'ad_network_type']) }} as source_record_id,
        days.date as date_day,
        'google_ads' as platform,
        days.customer_id as account_id,
        campaign_id as campaign_record_id,
        ad_group_id,
        ad_id,
        cast(null as varchar) as creative_id,
        lower(ad_network_type) as placement,
        impressions,
        clicks,
        cast(cost_micros / 1000000.0 as decimal(18, 2)) as spend,
        conversions,
        cast(conversions_value as decimal(18, 2)) as conversions_value,
        accounts.currency_code as currency,
        loaded_at
    from days
    left join accounts on days.customer_id = accounts.id
)

select * from renamed
