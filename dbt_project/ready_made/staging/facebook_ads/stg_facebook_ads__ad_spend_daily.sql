{{ config(enabled='ad_spend_daily' in var('sources').get('facebook_ads', [])) }}

{%- set counted = var('facebook_ads_conversions', [
    'offsite_conversion.fb_pixel_purchase', 'onsite_conversion.purchase',
    'offsite_conversion.fb_pixel_lead', 'onsite_conversion.lead_grouped',
]) %}
with source as (
    {{ landed('facebook_ads', 'basic_ad') }}
),

account_versions as (
    {{ landed('facebook_ads', 'account_history') }}
),

accounts as (
    {{ newest_version('account_versions', 'id', '_fivetran_synced') }}
),

ad_versions as (
    {{ landed('facebook_ads', 'ad_history') }}
),

ads as (
    {{ newest_version('ad_versions', 'id', 'updated_time') }}
),

-- Meta reports one purchase under several types (purchase, omni_purchase): count types that do not overlap.
actions as (
    select
        ad_id,
        date,
        sum(value) as conversions
    from ({{ landed('facebook_ads', 'basic_ad_actions') }}) as basic_ad_actions
    where action_type in ('{{ counted | join("', '") }}')
    group by ad_id, date
),

action_values as (
    select
        ad_id,
        date,
        sum(value) as conversions_value
    from ({{ landed('facebook_ads', 'basic_ad_action_values') }}) as basic_ad_action_values
    where action_type in ('{{ counted | join("', '") }}')
    group by ad_id, date
),

renamed as (
    select
        {{ joined_key(['source.date', 'source.account_id', 'source.ad_id']) }} as source_record_id,
        source.date as date_day,
        'facebook_ads' as platform,
        source.account_id,
        ads.campaign_id as campaign_record_id,
        ads.ad_set_id as ad_group_id,
        source.ad_id,
        ads.creative_id,
        cast(null as varchar) as placement,
        source.impressions,
        source.inline_link_clicks as clicks,
        cast(source.spend as decimal(18, 2)) as spend,
        actions.conversions,
        cast(action_values.conversions_value as decimal(18, 2)) as conversions_value,
        accounts.currency,
        source._fivetran_synced as loaded_at
    from source
    left join ads on source.ad_id = ads.id
    left join accounts on source.account_id = accounts.id
    left join actions on source.ad_id = actions.ad_id and source.date = actions.date
    left join action_values on source.ad_id = action_values.ad_id and source.date = action_values.date
)

select * from renamed
