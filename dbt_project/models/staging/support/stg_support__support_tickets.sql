{{ config(enabled='support' in var('sources')) }}

with source as (
    select * from {{ source('support', 'tickets') }}
),

renamed as (
    select
        _record_id as source_record_id,
        {{ json_text('requester', '$.id') }} as contact_record_id,
        created_at,
        solved_at as resolved_at,
        {{ json_text('via', '$.channel') }} as channel,
        {{ json_text('custom_fields', '$.category') }} as category,
        priority,
        status,
        {{ as_type(json_text('satisfaction_rating', '$.score'), 'integer') }} as csat_score,
        subject,
        _loaded_at as loaded_at
    from source
)

select * from renamed
