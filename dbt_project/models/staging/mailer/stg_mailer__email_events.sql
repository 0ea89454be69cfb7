{{ config(enabled='mailer' in var('sources')) }}

with source as (
    select * from {{ source('mailer', 'events') }}
),

renamed as (
    select
        _record_id as source_record_id,
        sg_message_id as message_id,
        marketing_campaign_id as campaign_record_id,
        email,
        case event
            when 'processed' then 'sent'
            when 'spamreport' then 'complaint'
            else event
        end as event_type,
        {{ from_epoch('"timestamp"') }} as event_at,
        url as link_url,
        coalesce(sg_machine_open, false) as is_machine_open,
        _loaded_at as loaded_at
    from source
)

select * from renamed
