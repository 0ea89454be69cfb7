{{ config(enabled='campaigns' in var('sources').get('linkedin_ads', [])) }}

with versions as (
    {{ landed('linkedin_ads', 'campaign_group_history') }}
),

source as (
    {{ newest_version('versions', 'id', 'last_modified_time') }}
),

renamed as (
    select
        id as source_record_id,
        'linkedin_ads' as platform,
        account_id,
        name as campaign_name,
        'paid_social' as channel,
        -- The objective belongs to what LinkedIn calls a campaign, below this.
        cast(null as varchar) as objective,
        cast(run_schedule_start as date) as started_on,
        cast(run_schedule_end as date) as ended_on,
        coalesce(_fivetran_synced, last_modified_time) as loaded_at
    from source
)

select * from renamed
