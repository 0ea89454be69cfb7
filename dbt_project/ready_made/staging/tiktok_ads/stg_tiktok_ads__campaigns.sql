{{ config(enabled='campaigns' in var('sources').get('tiktok_ads', [])) }}

{{ ad_campaigns('tiktok_ads', 'campaign_history', newest_by='updated_at', columns={
    'source_record_id': 'campaign_id',
    'account_id': 'advertiser_id',
    'campaign_name': 'campaign_name',
    'objective': 'lower(objective_type)',
    'started_on': 'cast(create_time as date)',
}) }}
