{{ config(enabled='call_tracking' in var('sources')) }}

with source as (
    select * from {{ source('call_tracking', 'calls') }}
),

renamed as (
    select
        _record_id as source_record_id,
        case when customer_phone_number <> 'Anonymous' then customer_phone_number end as phone,
        {{ country_code('customer_country') }} as country_code,
        start_time as started_at,
        duration as duration_seconds,
        tracking_phone_number as tracking_number,
        case source_name
            when 'Search ads' then 'search_ads'
            when 'Social ads' then 'social_ads'
        end as campaign_source,
        campaign_id as campaign_record_id,
        case
            when answered then 'answered'
            when voicemail then 'voicemail'
            else 'missed'
        end as outcome,
        note,
        _loaded_at as loaded_at
    from source
)

select * from renamed
