{# What several ready-made systems share. #}

{# The newest version of each row of a Fivetran history table. `key` is a column or a list. #}
{% macro newest_version(relation, key, newest_by) %}
    select * from (
        select
            *,
            row_number() over (
                partition by {{ key if key is string else key | join(', ') }}
                order by {{ newest_by }} desc nulls last, _fivetran_synced desc nulls last
            ) as version_from_newest
        from {{ relation }}
    ) as versions
    where version_from_newest = 1
{% endmacro %}

{# An amount in a currency's smallest unit (cents) as that currency's own. After Stripe's list of
   zero-decimal and three-decimal currencies; ISK and UGX are sent as if they had cents. #}
{% macro from_minor_units(amount, currency) -%}
    cast(
        {{ amount }} / case
            when upper({{ currency }}) in ('BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 1
            when upper({{ currency }}) in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then 1000
            else 100
        end as decimal(18, 2)
    )
{%- endmacro %}

{# Several values as one key, `|` between them; one that is null counts as ''. #}
{% macro joined_key(parts) -%}
    {%- for part in parts -%}
        coalesce(cast({{ part }} as varchar), ''){{ " || '|' || " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# The messages of an event collector's warehouse schema: the tables tracks, pages, screens and
   identifies with the columns that Segment defined and RudderStack kept. A whole model. #}
{% macro warehouse_messages(source_name) -%}
    {%- set text = 'cast(null as varchar)' -%}
    {%- set tables = {
        'tracks': {'event_type': 'track', 'event_name': 'coalesce(event_text, event)'},
        'pages': {'event_type': 'page', 'event_name': "coalesce(nullif(name, ''), 'page')", 'url': 'url', 'referrer': 'referrer'},
        'screens': {'event_type': 'screen', 'event_name': "coalesce(nullif(name, ''), 'screen')"},
        'identifies': {'event_type': 'identify', 'event_name': "'identify'", 'email': 'email'},
    } -%}
with messages as (
    {%- for table, particular in tables.items() %}
    select
        id,
        anonymous_id,
        user_id,
        '{{ particular.event_type }}' as event_type,
        {{ particular.event_name }} as event_name,
        coalesce("timestamp", original_timestamp, received_at) as event_at,
        received_at,
        context_campaign_source,
        context_campaign_medium,
        context_campaign_name,
        context_campaign_content,
        context_campaign_term,
        coalesce({{ particular.url or text }}, context_page_url) as page_url,
        coalesce({{ particular.referrer or text }}, context_page_referrer) as page_referrer,
        context_device_type,
        context_location_country,
        context_location_region,
        {{ particular.email or text }} as email,
        coalesce(uuid_ts, received_at) as loaded_at
    from ({{ landed(source_name, table) }}) as {{ table }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- A message that was sent again, after a timeout, has the same id: the first one received counts.
ranked as (
    select
        *,
        row_number() over (partition by id order by received_at, event_at) as place
    from messages
),

renamed as (
    select
        id as source_record_id,
        event_name,
        event_type,
        event_at,
        coalesce(received_at, event_at) as received_at,
        anonymous_id,
        user_id,
        email,
        context_campaign_source as utm_source,
        context_campaign_medium as utm_medium,
        context_campaign_name as utm_campaign,
        context_campaign_content as utm_content,
        context_campaign_term as utm_term,
        page_url,
        page_referrer,
        context_device_type as device_type,
        {{ country_code('context_location_country') }} as geo_country,
        context_location_region as geo_region,
        loaded_at
    from ranked
    where place = 1
)

select * from renamed
{%- endmacro %}

{# Campaigns of an ad platform, from Fivetran's history of them. `columns` says in the table's own
   columns what differs between platforms; what it leaves out is as below. A whole model. #}
{% macro ad_campaigns(platform, table_name, newest_by, columns) -%}
    {%- set usual = {
        'source_record_id': 'id',
        'account_id': 'account_id',
        'campaign_name': 'name',
        'channel': "'paid_social'",
        'objective': 'cast(null as varchar)',
        'started_on': 'cast(null as date)',
        'ended_on': 'cast(null as date)',
        'loaded_at': '_fivetran_synced',
    } -%}
    {%- do usual.update(columns) -%}
with versions as (
    {{ landed(platform, table_name) }}
),

source as (
    {{ newest_version('versions', usual.source_record_id, newest_by) }}
),

renamed as (
    select
        {%- for name, value in usual.items() %}
        {{ value }} as {{ name }},
        {%- endfor %}
        '{{ platform }}' as platform
    from source
)

select * from renamed
{%- endmacro %}
