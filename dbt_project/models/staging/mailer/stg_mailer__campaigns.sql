{{ config(enabled='mailer' in var('sources')) }}

with source as (
    select * from {{ source('mailer', 'events') }}
),

campaigns as (
    select
        marketing_campaign_id as source_record_id,
        'email' as platform,
        {{ first_by('marketing_campaign_name', '"timestamp" desc, sg_event_id') }} as campaign_name,
        'email' as channel,
        'newsletter' as objective,
        {{ text_after('max(url)', 'utm_campaign=') }} as utm_campaign,
        cast({{ from_epoch('min("timestamp")') }} as date) as started_on,
        cast({{ from_epoch('min("timestamp")') }} as date) as ended_on,
        max(_loaded_at) as loaded_at
    from source
    group by marketing_campaign_id
)

select * from campaigns
