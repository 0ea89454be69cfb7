{{ config(enabled='campaigns' in var('sources').get('google_ads', [])) }}

with versions as (
    {{ landed('google_ads', 'campaign_history') }}
),

source as (
    {{ newest_version('versions', 'id', 'updated_at') }}
),

renamed as (
    select
        id as source_record_id,
        'google_ads' as platform,
        customer_id as account_id,
        name as campaign_name,
        lower(advertising_channel_type) as channel,
        cast(null as varchar) as objective,
        start_date as started_on,
        -- 2037-12-30 is how Google says that there is no end.
        case when end_date < cast('2037-12-30' as date) then end_date end as ended_on,
        _fivetran_synced as loaded_at
    from source
)

select * from renamed
