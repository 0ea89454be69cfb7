{{ config(enabled='support_tickets' in var('sources').get('zendesk', [])) }}

with source as (
    {{ landed('zendesk', 'ticket') }}
),

solved as (
    select
        ticket_id,
        max(updated) as solved_at
    from ({{ landed('zendesk', 'ticket_field_history') }}) as ticket_field_history
    where field_name = 'status' and value = 'solved'
    group by ticket_id
),

rated as (
    select
        ticket_id,
        {{ first_by('score', 'coalesce(updated_at, created_at) desc, id desc') }} as score
    from ({{ landed('zendesk', 'satisfaction_rating') }}) as satisfaction_rating
    where score in ('good', 'bad')
    group by ticket_id
),

renamed as (
    select
        source.id as source_record_id,
        requester_id as contact_record_id,
        created_at,
        -- A ticket that was opened again is not resolved, whatever its history says.
        case when status in ('solved', 'closed') then coalesce(solved.solved_at, updated_at) end as resolved_at,
        via_channel as channel,
        type as category,
        priority,
        status,
        case rated.score when 'good' then 5 when 'bad' then 1 end as csat_score,
        _fivetran_synced as loaded_at
    from source
    left join solved on source.id = solved.ticket_id
    left join rated on source.id = rated.ticket_id
    where not coalesce(_fivetran_deleted, false) and coalesce(status, '') <> 'deleted'
)

select * from renamed
