{{ config(enabled='contacts' in var('sources').get('zendesk', [])) }}

with source as (
    {{ landed('zendesk', 'user') }}
),

renamed as (
    select
        id as source_record_id,
        external_id as user_id,
        name as full_name,
        email,
        coalesce(verified, false) as is_email_verified,
        phone,
        created_at,
        coalesce(updated_at, created_at) as updated_at,
        -- Zendesk keeps a deleted user, as one that is not active.
        coalesce(_fivetran_deleted, false) or not coalesce(active, true) as is_deleted,
        _fivetran_synced as loaded_at
    from source
    where coalesce(role, 'end-user') = 'end-user'
)

select * from renamed
