{{ config(enabled='search_ads' in var('sources')) }}

with source as (
    select * from {{ source('search_ads', 'ad_performance') }}
),

campaigns as (
    select
        "Campaign ID" as source_record_id,
        'google_ads' as platform,
        max(replace("Customer ID", '-', '')) as account_id,
        {{ first_by('"Campaign"', '"Day" desc, "Ad ID"') }} as campaign_name,
        'paid_search' as channel,
        {{ first_by('"Campaign type"', '"Day" desc, "Ad ID"') }} as objective,
        {{ text_after('max("Final URL suffix")', 'utm_campaign=') }} as utm_campaign,
        min("Day") as started_on,
        max("Day") as ended_on,
        max(_loaded_at) as loaded_at
    from source
    group by "Campaign ID"
)

select * from campaigns
