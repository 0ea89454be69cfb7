{{ config(enabled='support' in var('sources')) }}

with source as (
    select * from {{ source('support', 'tickets') }}
),

requests as (
    select
        {{ json_text('requester', '$.id') }} as source_record_id,
        {{ json_text('requester', '$.name') }} as full_name,
        {{ json_text('requester', '$.email') }} as email,
        {{ json_text('requester', '$.phone') }} as phone,
        {{ country_code(json_text('requester', '$.country')) }} as country_code,
        {{ as_type(json_text('requester', '$.created_at'), 'timestamp') }} as requester_created_at,
        created_at as ticket_created_at,
        updated_at as ticket_updated_at,
        _record_id,
        _loaded_at
    from source
),

-- A requester is written into each ticket: the newest has the say.
requesters as (
    select
        source_record_id,
        {{ first_by('full_name', 'ticket_created_at desc, _record_id') }} as full_name,
        {{ first_by('email', 'ticket_created_at desc, _record_id') }} as email,
        {{ first_by('phone', 'case when phone is null then 1 else 0 end, ticket_created_at desc, _record_id') }} as phone,
        {{ first_by('country_code', 'ticket_created_at desc, _record_id') }} as country_code,
        min(requester_created_at) as created_at,
        max(ticket_updated_at) as updated_at,
        max(_loaded_at) as loaded_at
    from requests
    where source_record_id is not null
    group by source_record_id
)

select * from requesters
