{{ config(enabled='campaigns' in var('sources').get('facebook_ads', [])) }}

{{ ad_campaigns('facebook_ads', 'campaign_history', newest_by='updated_time', columns={
    'objective': 'lower(objective)',
    'started_on': 'cast(start_time as date)',
    'ended_on': 'cast(stop_time as date)',
}) }}
