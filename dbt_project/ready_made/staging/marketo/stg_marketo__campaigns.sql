{{ config(enabled='campaigns' in var('sources').get('marketo', [])) }}

with source as (
    {{ landed('marketo', 'campaign') }}
),

renamed as (
    select
        id as source_record_id,
        'marketo' as platform,
        name as campaign_name,
        'email' as channel,
        lower(type) as objective,
        cast(created_at as date) as started_on,
        coalesce(_fivetran_synced, created_at) as loaded_at
    from source
    where not coalesce(_fivetran_deleted, false)
)

select * from renamed
