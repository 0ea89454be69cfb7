{{ config(enabled='email_events' in var('sources').get('hubspot', [])) }}

with source as (
    {{ landed('hubspot', 'email_event') }}
),

clicks as (
    {{ landed('hubspot', 'email_event_click') }}
),

changes as (
    {{ landed('hubspot', 'email_event_status_change') }}
),

renamed as (
    select
        source.id as source_record_id,
        case when type = 'SENT' then source.id else sent_by_id end as message_id,
        email_campaign_id as campaign_record_id,
        recipient as email,
        case
            when type = 'SENT' then 'sent'
            when type = 'DELIVERED' then 'delivered'
            when type = 'OPEN' then 'open'
            when type = 'CLICK' then 'click'
            when type = 'BOUNCE' then 'bounce'
            when type = 'SPAMREPORT' then 'complaint'
            when type = 'STATUSCHANGE' and changes.portal_subscription_status = 'UNSUBSCRIBED' then 'unsubscribe'
        end as event_type,
        created as event_at,
        clicks.url as link_url,
        type = 'OPEN' and coalesce(filtered_event, false) as is_machine_open,
        _fivetran_synced as loaded_at
    from source
    left join clicks on source.id = clicks.id
    left join changes on source.id = changes.id
)

-- The rest (processed, deferred, dropped, forwarded, printed) says nothing about the recipient.
select * from renamed where event_type is not null
