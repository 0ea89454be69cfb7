{#
  Survivors are looked for among the records of those customers alone of whom something changed: a
  record, which customer it belongs to, what an attribute excludes, when they were seen. `records_hash`
  says what the row was made of; it is compared for everybody, which costs a fraction of the choice.
#}
{{ config(
    materialized='incremental',
    unique_key='customer_id',
    incremental_strategy='delete+insert',
    on_schema_change='fail',
    pre_hook="{{ delete_customers_without('int_customer_contacts') }}",
) }}
-- noqa: disable=LT02
with given as (
    select * from {{ ref('int_customer_contacts') }}
),

crosswalk as (
    select * from {{ ref('stg_identity__crosswalk') }}
),

identifiers as (
    select * from {{ ref('stg_identity__identifiers') }}
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
        max(updated_at) as last_seen_at,
        cast({{ set_hash((
            ['contact_key', 'source_system', 'created_at', 'updated_at', 'has_verified_identifier', 'email_is_verified', 'phone_is_verified']
            + golden_attributes() | map(attribute='name') | list
        ) | join(', ')) }} as varchar) as records_hash
    from usable
    group by customer_id
),

described as (
    select
        summed.customer_id,
        summed.source_count,
        summed.contact_count,
        seen.node_count,
        coalesce(least(seen.first_seen_at, summed.first_seen_at), summed.first_seen_at) as first_seen_at,
        coalesce(greatest(seen.last_seen_at, summed.last_seen_at), summed.last_seen_at) as last_seen_at,
        summed.records_hash
    from summed
    inner join seen on summed.customer_id = seen.customer_id
),
{%- if is_incremental() %}

changed as (
    select described.customer_id
    from described
    left join {{ this }} as standing on described.customer_id = standing.customer_id
    where
        standing.customer_id is null
        or described.records_hash <> standing.records_hash
        or described.node_count <> standing.node_count
        or described.first_seen_at is distinct from standing.first_seen_at
        or described.last_seen_at is distinct from standing.last_seen_at
),
{%- endif %}

contacts as (
    select
        *,
        {{ completeness() or 0 }} as completeness
        {{- survivorship_votes() }}
    from usable
    {%- if is_incremental() %}
    where customer_id in (select changed.customer_id from changed)
    {%- endif %}
),

golden as (
    select
        customer_id
        {{- survivors() }}
    from contacts
    group by customer_id
)

select
    golden.customer_id,
    {{- survivor_columns('golden') }}
    described.source_count,
    described.contact_count,
    described.node_count,
    described.first_seen_at,
    described.last_seen_at,
    described.records_hash
from golden
inner join described on golden.customer_id = described.customer_id
