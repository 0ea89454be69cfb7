{{ config(enabled='search_ads' in var('sources')) }}

with source as (
    select * from {{ source('search_ads', 'ad_performance') }}
),

renamed as (
    select
        _record_id as source_record_id,
        "Day" as date_day,
        'google_ads' as platform,
        replace("Customer ID", '-', '') as account_id,
        "Campaign ID" as campaign_record_id,
        "Ad group ID" as ad_group_id,
        "Ad ID" as ad_id,
        {{ country_code('"Country/Territory"') }} as geo,
        "Impr." as impressions,
        "Clicks" as clicks,
        "Cost" as spend,
        "Conversions" as conversions,
        "Conv. value" as conversions_value,
        "Currency code" as currency,
        _loaded_at as loaded_at
    from source
)

select * from renamed
