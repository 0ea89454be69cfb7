{{ config(enabled='events' in var('sources').get('mixpanel', [])) }}

with source as (
    {{ landed('mixpanel', 'event') }}
),

keyed as (
    select
        *,
        {{ dbt.hash(joined_key(['name', 'coalesce(insert_id, _fivetran_id)', 'distinct_id', 'cast(time as date)'])) }} as event_key
    from source
),

-- Mixpanel takes events of one name, insert id, person and day for one event; the last one processed counts.
ranked as (
    select
        *,
        row_number() over (partition by event_key order by mp_processing_time_ms desc nulls last, _fivetran_id) as place
    from keyed
),

renamed as (
    select
        event_key as source_record_id,
        name as event_name,
        'track' as event_type,
        time as event_at,
        coalesce(_fivetran_synced, time) as received_at,
        coalesce(device_id, {{ json_text('properties', '$."$device_id"') }}, replace(distinct_id, '$device:', '')) as anonymous_id,
        coalesce(user_id, {{ json_text('properties', '$."$user_id"') }}) as user_id,
        utm_source,
        utm_medium,
        utm_campaign,
        utm_content,
        utm_term,
        current_url as page_url,
        referrer as page_referrer,
        coalesce(device, os) as device_type,
        {{ country_code('mp_country_code') }} as geo_country,
        region as geo_region,
        properties,
        _fivetran_synced as loaded_at
    from ranked
    where place = 1
)

select * from renamed
