{{ config(enabled='campaigns' in var('sources').get('google_ads', [])) }}

{# 2037-12-30 is how Google says that there is no end. #}
{{ ad_campaigns('google_ads', 'campaign_history', newest_by='updated_at', columns={
    'account_id': 'customer_id',
    'channel': 'lower(advertising_channel_type)',
    'started_on': 'start_date',
    'ended_on': "case when end_date < cast('2037-12-30' as date) then end_date end",
}) }}
