{{ config(enabled='events' in var('sources').get('ga4_export', [])) }}

with source as (
    {{ landed('ga4_export', 'event') }}
),

renamed as (
    select
        _fivetran_id as source_record_id,
        name as event_name,
        case name when 'page_view' then 'page' when 'screen_view' then 'screen' else 'track' end as event_type,
        "timestamp" as event_at,
        coalesce(_fivetran_synced, "timestamp") as received_at,
        user_pseudo_id as anonymous_id,
        user_id,
        coalesce(collected_traffic_source_manual_source, param_source) as utm_source,
        coalesce(collected_traffic_source_manual_medium, param_medium) as utm_medium,
        coalesce(collected_traffic_source_manual_campaign_name, param_campaign) as utm_campaign,
        param_content as utm_content,
        param_term as utm_term,
        param_page_location as page_url,
        param_page_referrer as page_referrer,
        device_category as device_type,
        {{ country_code('geo_country') }} as geo_country,
        geo_region,
        nullif(ecommerce_transaction_id, '(not set)') as order_id,
        ecommerce_purchase_revenue_in_usd as revenue,
        case when ecommerce_purchase_revenue_in_usd is not null then 'USD' end as currency,
        _fivetran_synced as loaded_at
    from source
    where not coalesce(_fivetran_deleted, false)
)

select * from renamed
