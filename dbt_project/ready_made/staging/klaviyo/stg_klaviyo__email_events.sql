{{ config(enabled='email_events' in var('sources').get('klaviyo', [])) }}

with source as (
    {{ landed('klaviyo', 'event') }}
),

metrics as (
    {{ landed('klaviyo', 'metric') }}
),

people as (
    {{ landed('klaviyo', 'person') }}
),

renamed as (
    select
        source.id as source_record_id,
        coalesce(flow_message_id, campaign_id) || ':' || person_id as message_id,
        campaign_id as campaign_record_id,
        people.email,
        case lower(coalesce(type, metrics.name))
            when 'received email' then 'delivered'
            when 'opened email' then 'open'
            when 'clicked email' then 'click'
            when 'bounced email' then 'bounce'
            when 'marked email as spam' then 'complaint'
            when 'unsubscribed' then 'unsubscribe'
            when 'unsubscribed from list' then 'unsubscribe'
            when 'unsubscribed from email marketing' then 'unsubscribe'
        end as event_type,
        coalesce(datetime, "timestamp") as event_at,
        case when lower(coalesce(type, metrics.name)) = 'clicked email' then property_url end as link_url,
        lower(coalesce(property_apple_privacy_open, 'false')) = 'true' as is_machine_open,
        source._fivetran_synced as loaded_at
    from source
    left join metrics on source.metric_id = metrics.id
    left join people on source.person_id = people.id
    where not coalesce(source._fivetran_deleted, false)
)

select * from renamed where event_type is not null
