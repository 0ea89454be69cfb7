{{ config(enabled='support_tickets' in var('sources').get('hubspot', [])) }}

with source as (
    {{ landed('hubspot', 'ticket') }}
),

contacts as (
    select
        ticket_id,
        min(contact_id) as contact_id
    from ({{ landed('hubspot', 'ticket_contact') }}) as ticket_contact
    group by ticket_id
),

-- A stage that moved to another pipeline is there twice.
stages as (
    select
        stage_id,
        min(label) as label
    from ({{ landed('hubspot', 'ticket_pipeline_stage') }}) as ticket_pipeline_stage
    group by stage_id
),

renamed as (
    select
        source.id as source_record_id,
        contacts.contact_id as contact_record_id,
        property_createdate as created_at,
        property_closed_date as resolved_at,
        lower(property_source_type) as channel,
        property_hs_ticket_category as category,
        lower(property_hs_ticket_priority) as priority,
        coalesce(stages.label, property_hs_pipeline_stage) as status,
        _fivetran_synced as loaded_at
    from source
    left join contacts on source.id = contacts.ticket_id
    left join stages on source.property_hs_pipeline_stage = stages.stage_id
    where not coalesce(is_deleted, _fivetran_deleted, false)
)

select * from renamed
