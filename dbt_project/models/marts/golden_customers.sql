{# Survivors are looked for among the records of those customers alone of whom something changed. #}
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
with given as (
    select * from {{ ref('int_customer_contacts') }}
    {%- if is_incremental() %}
    where {{ changed('int_customer_changes', 'customer_id') }}
    {%- endif %}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
    {%- if is_incremental() %}
    where {{ changed('int_customer_changes', 'customer_id') }}
    {%- endif %}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
    {%- if is_incremental() %}
    where node_key in (select crosswalk.node_key from crosswalk)
    {%- endif %}
),

-- Values that an attribute excludes are as good as none.
usable as (
    select
        customer_id,
        contact_key,
        source_system,
        created_at,
        updated_at,
        has_verified_identifier,
        email_is_verified,
        phone_is_verified
        {%- for attribute in golden_attributes() %},
        {{ surviving_value(attribute) }} as {{ attribute.name }}
        {%- endfor %}
    from given
),

-- One row a node first: a customer has few nodes, and a node many identifiers.
seen_nodes as (
    select
        node_key,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from identifiers
    group by node_key
),

seen as (
    select
        crosswalk.customer_id,
        count(*) as node_count,
        min(seen_nodes.first_seen_at) as first_seen_at,
        max(seen_nodes.last_seen_at) as last_seen_at
    from crosswalk
    left join seen_nodes on crosswalk.node_key = seen_nodes.node_key
    group by crosswalk.customer_id
),

summed as (
    select
        customer_id,
        count(distinct source_system) as source_count,
        count(*) as contact_count,
        min(created_at) as first_seen_at,
        max(updated_at) as last_seen_at
    from usable
    group by customer_id
),

contacts as (
    select
        *,
        {{ completeness() or 0 }} as completeness
        {{- survivorship_votes() }}
    from usable
),

golden as (
    select
        customer_id
        {{- survivors() }}
    from contacts
    group by customer_id
),

attributed as (
    select
        golden.customer_id,
        {{- survivor_columns('golden') }}
        summed.source_count,
        summed.contact_count,
        seen.node_count,
        coalesce(least(seen.first_seen_at, summed.first_seen_at), summed.first_seen_at) as first_seen_at,
        coalesce(greatest(seen.last_seen_at, summed.last_seen_at), summed.last_seen_at) as last_seen_at
    from golden
    inner join summed on golden.customer_id = summed.customer_id
    inner join seen on golden.customer_id = seen.customer_id
)

select
    *,
    {{ attributes_hash(golden_attributes()) }} as attributes_hash
from attributed
