{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    meta={'log': 'int_customer_changes'},
    pre_hook="{{ delete_changed('int_customer_changes', 'customer_id') }}",
    post_hook="{{ mark_as_read('int_customer_changes') }}",
) }}
-- depends_on: {{ ref('int_customer_changes') }}
-- noqa: disable=LT02
with crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
    {%- if is_incremental() %}
    where {{ changed('int_customer_changes', 'customer_id') }}
    {%- endif %}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
    where
        not is_blocked
        {%- if is_incremental() %}
        and node_key in (select crosswalk.node_key from crosswalk)
        {%- endif %}
),

moved as (
    select * from {{ ref('stg_identity__moved_ids') }}
),

of_contacts as (
    select distinct customer_id from crosswalk
    where not is_anonymous
),

-- The customer's own id, and those that were merged into it.
ids as (
    select
        customer_id,
        customer_id as given_id
    from of_contacts
    union all
    select
        of_contacts.customer_id,
        moved.customer_id as given_id
    from moved
    inner join of_contacts on moved.current_customer_id = of_contacts.customer_id
)

select
    crosswalk.customer_id,
    identifiers.identifier_type,
    identifiers.identifier_value,
    bool_or(identifiers.is_verified) as is_verified,
    count(*) as node_count,
    min(identifiers.first_seen_at) as first_seen_at,
    max(identifiers.last_seen_at) as last_seen_at
from identifiers
inner join crosswalk on identifiers.node_key = crosswalk.node_key
inner join of_contacts on crosswalk.customer_id = of_contacts.customer_id
group by crosswalk.customer_id, identifiers.identifier_type, identifiers.identifier_value
union all
select
    customer_id,
    'customer_id' as identifier_type,
    given_id as identifier_value,
    true as is_verified,
    0 as node_count,
    cast(null as timestamp) as first_seen_at,
    cast(null as timestamp) as last_seen_at
from ids
