{{ config(enabled='social_ads' in var('sources')) }}

with source as (
    select * from {{ source('social_ads', 'insights') }}
),

campaigns as (
    select
        campaign_id as source_record_id,
        'meta_ads' as platform,
        max(account_id) as account_id,
        {{ first_by('campaign_name', 'date_start desc, ad_id') }} as campaign_name,
        'paid_social' as channel,
        {{ first_by('objective', 'date_start desc, ad_id') }} as objective,
        {{ text_after("max(url_tags)", 'utm_campaign=') }} as utm_campaign,
        min(date_start) as started_on,
        max(date_start) as ended_on,
        max(_loaded_at) as loaded_at
    from source
    group by campaign_id
)

select * from campaigns
