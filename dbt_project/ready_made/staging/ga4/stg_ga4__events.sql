{{ config(enabled='events' in var('sources').get('ga4', [])) }}

with source as (
    {{ landed('ga4', 'events') }}
),

params as (
    select
        *,
        {{ json_keyed('event_params', 'page_location') }} as page_location,
        {{ json_keyed('event_params', 'page_referrer') }} as page_referrer,
        {{ json_keyed('event_params', 'source') }} as param_source,
        {{ json_keyed('event_params', 'medium') }} as param_medium,
        {{ json_keyed('event_params', 'campaign') }} as param_campaign,
        {{ json_keyed('event_params', 'content') }} as param_content,
        {{ json_keyed('event_params', 'term') }} as param_term,
        {{ json_keyed('event_params', 'currency') }} as param_currency,
        {{ dbt.hash(joined_key([
            'user_pseudo_id', 'event_timestamp', 'event_name', 'event_bundle_sequence_id', 'batch_event_index', 'event_params',
        ])) }} as content_hash
    from source
),

renamed as (
    select
        content_hash || '|' || row_number() over (partition by content_hash order by event_timestamp) as source_record_id,
        event_name,
        case event_name when 'page_view' then 'page' when 'screen_view' then 'screen' else 'track' end as event_type,
        {{ from_micros('event_timestamp') }} as event_at,
        {{ from_micros('event_timestamp') }} as received_at,
        user_pseudo_id as anonymous_id,
        user_id,
        -- Not traffic_source: that is where the visitor came from the very first time.
        coalesce({{ json_text('collected_traffic_source', '$.manual_source') }}, {{ json_text('param_source', '$.value.string_value') }}) as utm_source,
        coalesce({{ json_text('collected_traffic_source', '$.manual_medium') }}, {{ json_text('param_medium', '$.value.string_value') }}) as utm_medium,
        coalesce({{ json_text('collected_traffic_source', '$.manual_campaign_name') }}, {{ json_text('param_campaign', '$.value.string_value') }}) as utm_campaign,
        coalesce({{ json_text('collected_traffic_source', '$.manual_content') }}, {{ json_text('param_content', '$.value.string_value') }}) as utm_content,
        coalesce({{ json_text('collected_traffic_source', '$.manual_term') }}, {{ json_text('param_term', '$.value.string_value') }}) as utm_term,
        {{ json_text('page_location', '$.value.string_value') }} as page_url,
        {{ json_text('page_referrer', '$.value.string_value') }} as page_referrer,
        {{ json_text('device', '$.category') }} as device_type,
        {{ country_code(json_text('geo', '$.country')) }} as geo_country,
        {{ json_text('geo', '$.region') }} as geo_region,
        {{ json_text('items', '$[0].item_id') }} as product_id,
        nullif({{ json_text('ecommerce', '$.transaction_id') }}, '(not set)') as order_id,
        cast({{ json_text('ecommerce', '$.purchase_revenue') }} as decimal(18, 2)) as revenue,
        {{ json_text('param_currency', '$.value.string_value') }} as currency,
        event_params as properties,
        {{ from_micros('event_timestamp') }} as loaded_at
    from params
)

select * from renamed
