{{ config(enabled='social_ads' in var('sources')) }}

with source as (
    select * from {{ source('social_ads', 'insights') }}
),

renamed as (
    select
        _record_id as source_record_id,
        date_start as date_day,
        'meta_ads' as platform,
        account_id,
        campaign_id as campaign_record_id,
        adset_id as ad_group_id,
        ad_id,
        creative_id,
        publisher_platform || '_' || platform_position as placement,
        {{ country_code('country') }} as geo,
        impressions,
        inline_link_clicks as clicks,
        spend,
        purchases as conversions,
        purchase_value as conversions_value,
        account_currency as currency,
        _loaded_at as loaded_at
    from source
)

select * from renamed
