{{ config(enabled='campaigns' in var('sources').get('facebook_ads', [])) }}

with versions as (
    {{ landed('facebook_ads', 'campaign_history') }}
),

source as (
    {{ newest_version('versions', 'id', 'updated_time') }}
),

renamed as (
    select
        id as source_record_id,
        'facebook_ads' as platform,
        account_id,
        name as campaign_name,
        'paid_social' as channel,
        lower(objective) as objective,
        cast(start_time as date) as started_on,
        cast(stop_time as date) as ended_on,
        _fivetran_synced as loaded_at
    from source
)

select * from renamed
