{#
  Slowly changing dimension, type 2. Only what changed is written: of a customer whose golden
  attributes are others than in the version at hand, that version is closed and a new one opened.
  It cannot be rebuilt from anything, so a full refresh leaves it alone.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['customer_id', 'version'],
    on_schema_change='append_new_columns',
    full_refresh=false,
) }}
-- depends_on: {{ ref('stg_identity__moved_ids') }}
-- depends_on: {{ ref('stg_identity__crosswalk') }}
-- noqa: disable=LT02
{%- set carried = [] %}
{%- for attribute in golden_attributes() -%}
    {%- do carried.extend([attribute.name, attribute.name ~ '_source']) -%}
{%- endfor %}
{%- set known = adapter.get_columns_in_relation(this) | map(attribute='name') | list if is_incremental() else [] %}

with golden as (
    select * from {{ ref('golden_customers') }}
),

-- Compared are hashes alone; the attributes are fetched for what changed.
hashed as (
    select
        customer_id,
        attributes_hash
    from {{ ref('golden_customers') }}
),

-- The version of each customer that began last: the one that is open, or else the last to be closed.
{%- set of_version = ['customer_id', 'version', 'valid_from', 'valid_to', 'is_current', 'attributes_hash'] %}
latest as (
    {% if is_incremental() %}
    select
        {{ of_version | join(',\n        ') }}
    from {{ this }}
    where is_current
    union all
    select
        {%- for name in of_version %}
        closed.{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ this }} as closed
    inner join (
        select
            customer_id,
            max(version) as version
        from {{ this }}
        where not is_current
        group by customer_id
    ) as newest on closed.customer_id = newest.customer_id and closed.version = newest.version
    where closed.customer_id not in (select customer_id from {{ this }} where is_current)
    {% else %}
    select
        cast(null as varchar) as customer_id,
        cast(null as integer) as version,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_to,
        cast(null as boolean) as is_current,
        cast(null as varchar) as attributes_hash
    where false
    {% endif %}
),

-- What changed, at the moment `as_of`: a clock that went back changes nothing before the last change.
changed as (
    select
        hashed.customer_id,
        hashed.attributes_hash,
        coalesce(latest.version, 0) + 1 as version,
        case
            when latest.customer_id is null then {{ as_of() }}
            else greatest({{ as_of() }}, coalesce(latest.valid_to, latest.valid_from))
        end as changed_at
    from hashed
    left join latest on hashed.customer_id = latest.customer_id
    where latest.customer_id is null or not latest.is_current or hashed.attributes_hash <> latest.attributes_hash
),

opened as (
    select
        golden.customer_id,
        changed.version,
        changed.changed_at as valid_from,
        cast(null as timestamp) as valid_to,
        true as is_current,
        cast(null as varchar) as ended_by,
        cast(null as varchar) as merged_into,
        {%- for name in carried %}
        golden.{{ name }},
        {%- endfor %}
        changed.attributes_hash
    from golden
    inner join changed on golden.customer_id = changed.customer_id
)
{%- if is_incremental() %},

-- Ids of which there are versions and no golden customer today, and the one who goes by them now; null when no
-- record is left. Ids that identity does not know are left alone.
without_golden as (
    select distinct customer_id
    from {{ this }}
    where
        (is_current or attributes_hash is not null)
        and customer_id not in (select hashed.customer_id from hashed)
),

heirs as (
    select
        without_golden.customer_id,
        golden.customer_id as heir_id
    from without_golden
    left join {{ ref('stg_identity__moved_ids') }} as moved on without_golden.customer_id = moved.customer_id
    left join hashed as golden on moved.current_customer_id = golden.customer_id
    where
        moved.customer_id is not null
        or without_golden.customer_id in (select customer_id from {{ ref('stg_identity__crosswalk') }})
),

gone as (
    select
        latest.customer_id,
        heirs.heir_id,
        greatest({{ as_of() }}, latest.valid_from) as changed_at
    from latest
    left join hashed as golden on latest.customer_id = golden.customer_id
    left join heirs on latest.customer_id = heirs.customer_id
    where latest.is_current and golden.customer_id is null
),

closed as (
    select
        latest.customer_id,
        latest.version,
        latest.valid_from,
        coalesce(changed.changed_at, gone.changed_at) as valid_to,
        false as is_current,
        case when changed.customer_id is null then 'merged' else 'changed' end as ended_by,
        gone.heir_id as merged_into,
        {%- for name in carried %}
        {{ 'versions.' ~ name if name in known else 'null as ' ~ name }},
        {%- endfor %}
        latest.attributes_hash
    from latest
    inner join {{ this }} as versions on latest.customer_id = versions.customer_id and latest.version = versions.version
    left join changed on latest.customer_id = changed.customer_id
    left join gone on latest.customer_id = gone.customer_id
    where latest.is_current and (changed.customer_id is not null or gone.heir_id is not null)
),

-- Of who is gone without an heir nothing stays but the intervals, nor of ids merged into theirs.
emptied as (
    select
        versions.customer_id,
        versions.version,
        versions.valid_from,
        coalesce(versions.valid_to, gone.changed_at) as valid_to,
        false as is_current,
        coalesce(versions.ended_by, 'erased') as ended_by,
        versions.merged_into,
        {%- for name in carried %}
        null as {{ name }},
        {%- endfor %}
        cast(null as varchar) as attributes_hash
    from {{ this }} as versions
    inner join heirs on versions.customer_id = heirs.customer_id
    left join gone on versions.customer_id = gone.customer_id
    where heirs.heir_id is null and versions.attributes_hash is not null
)
{%- endif %}

select * from opened
{%- if is_incremental() %}
union all
select * from closed
union all
select * from emptied
{%- endif %}
