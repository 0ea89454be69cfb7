{{ config(enabled='campaigns' in var('sources').get('linkedin_ads', [])) }}

{# There is no objective: it belongs to what LinkedIn calls a campaign, below this. #}
{{ ad_campaigns('linkedin_ads', 'campaign_group_history', newest_by='last_modified_time', columns={
    'started_on': 'cast(run_schedule_start as date)',
    'ended_on': 'cast(run_schedule_end as date)',
    'loaded_at': 'coalesce(_fivetran_synced, last_modified_time)',
}) }}
