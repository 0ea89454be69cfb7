{{ config(enabled='web' in var('sources')) }}

with source as (
    select * from {{ source('web', 'events') }}
),

renamed as (
    select
        _record_id as source_record_id,
        coalesce(event, {{ json_text('properties', '$.name') }}, type) as event_name,
        type as event_type,
        "timestamp" as event_at,
        coalesce(receivedAt, "timestamp") as received_at,
        anonymousId as anonymous_id,
        userId as user_id,
        coalesce({{ json_text('traits', '$.email') }}, {{ json_text('context', '$.traits.email') }}) as email,
        {{ json_text('context', '$.campaign.source') }} as utm_source,
        {{ json_text('context', '$.campaign.medium') }} as utm_medium,
        {{ json_text('context', '$.campaign.name') }} as utm_campaign,
        {{ json_text('context', '$.campaign.content') }} as utm_content,
        {{ json_text('context', '$.campaign.term') }} as utm_term,
        {{ json_text('context', '$.page.url') }} as page_url,
        {{ json_text('context', '$.page.referrer') }} as page_referrer,
        {{ json_text('context', '$.device.type') }} as device_type,
        {{ json_text('context', '$.location.country') }} as geo_country,
        {{ json_text('context', '$.location.region') }} as geo_region,
        {{ json_text('properties', '$.product_id') }} as product_id,
        {{ json_text('properties', '$.cart_id') }} as cart_id,
        {{ json_text('properties', '$.order_id') }} as order_id,
        {{ as_type(json_text('properties', '$.quantity'), 'integer') }} as quantity,
        {{ as_type(json_text('properties', '$.price'), 'decimal(18, 2)') }} as unit_price,
        {{ as_type(json_text('properties', '$.revenue'), 'decimal(18, 2)') }} as revenue,
        {{ json_text('properties', '$.currency') }} as currency,
        properties,
        _loaded_at as loaded_at,
        _load_id as load_id
    from source
)

select * from renamed
