{{ config(
    materialized='incremental',
    unique_key='contact_key',
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    meta={'log': 'int_contact_changes'},
    pre_hook="{{ delete_gone('int_contact_changes') }}",
    post_hook="{{ mark_as_read('int_contact_changes') }}",
) }}
{# Columns and types are the contract's: one that is added there, and to a staging model, is here. #}
{%- set computed = {
    'contact_key': "source_system || ':' || source_record_id",
    'full_name': "coalesce(full_name, nullif(trim(concat_ws(' ', first_name, last_name)), ''))",
    'is_deleted': 'coalesce(is_deleted, false)',
} %}
-- depends_on: {{ ref('int_contact_changes') }}
-- noqa: disable=LT02
with staged as (
    {{ union_sources('contacts', derived=['contact_key']) }}
)

select
    {%- for column in model.columns.values() %}
    {{ (computed[column.name] ~ ' as ' if column.name in computed) ~ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
from staged
{%- if is_incremental() %}
where {{ arrived('int_contact_changes') }}
{%- endif %}
