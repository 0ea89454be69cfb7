{# Of nodes that changed alone: contacts that came or went, visitors whose events did. #}
{{ config(
    materialized='incremental',
    unique_key='node_key',
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': ['int_contact_changes', 'int_event_changes']},
    pre_hook="{{ delete_touched_nodes('int_contact_changes', 'int_event_changes') }}",
    post_hook=["{{ mark_as_read('int_contact_changes') }}", "{{ mark_as_read('int_event_changes') }}"],
) }}
{%- set came = loaded_when('int_contact_changes') if is_incremental() else none %}
-- depends_on: {{ ref('int_contact_changes') }}, {{ ref('int_event_changes') }}
-- noqa: disable=LT02
with of_contacts as (
    {{ unpivot_identifiers('contacts', "'{source}:' || source_record_id", 'created_at', 'updated_at', came) }}
),

summed as (
    select
        node_key,
        identifier_type,
        identifier_value,
        bool_or(is_verified) as is_verified,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from of_contacts
    where
        node_key is not null
        and identifier_value <> ''
        {%- if is_incremental() %}
        and node_key in (select touched.node_key from {{ touched_contacts('int_contact_changes') }} as touched)
        {%- endif %}
    group by node_key, identifier_type, identifier_value
)

select
    node_key,
    identifier_type,
    identifier_value,
    is_verified,
    first_seen_at,
    last_seen_at
from summed
union all
select
    node_key,
    identifier_type,
    identifier_value,
    is_verified,
    first_seen_at,
    last_seen_at
from {{ ref('int_visitor_identifiers') }}
{%- if is_incremental() %}
where node_key in (select touched.node_key from {{ touched_visitors('int_event_changes') }} as touched)
{%- endif %}
