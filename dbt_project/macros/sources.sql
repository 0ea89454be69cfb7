{#
  The canonical unions. The var `sources` says which source feeds which entity; a source's staging
  model is `stg_<source>__<entity>`, and a column that it does not have is null.
#}

{# Sources that feed an entity, in one order whatever the map's. #}
{% macro sources_of(entity) %}
    {% set found = [] %}
    {% for source, entities in var('sources').items() if entity in entities %}
        {% do found.append(source) %}
    {% endfor %}
    {{ return(found | sort) }}
{% endmacro %}

{# The documented columns of a staging model, name -> column; empty while dbt parses. #}
{% macro staged_columns(source, entity) %}
    {% set key = 'model.' ~ project_name ~ '.stg_' ~ source ~ '__' ~ entity %}
    {{ return(graph.nodes[key].columns if execute and key in graph.nodes else {}) }}
{% endmacro %}

{# Sources of which each row of an entity is a part of one raw row that another entity is of, and comes and
   goes with it: the staging model says `meta: {part_of: orders}`. Empty while dbt parses. #}
{% macro sources_in_parts(entity, whole) %}
    {% set found = [] %}
    {% for source in sources_of(entity) if execute and source in sources_of(whole) %}
        {% if graph.nodes['model.' ~ project_name ~ '.stg_' ~ source ~ '__' ~ entity].config.meta.part_of == whole %}
            {% do found.append(source) %}
        {% endif %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# One typed select over all sources of an entity (or `only` these, or all but `apart`): the calling
   model's contract gives names and types, `derived` are the columns that the model computes itself. #}
{% macro union_sources(entity, derived=[], only=none, apart=[]) %}
    {% set wanted = model.columns.values() | rejectattr('name', 'in', derived + ['source_system']) | list %}
    {% for source in sources_of(entity) if source not in apart and (only is none or source in only) %}
        {% set given = staged_columns(source, entity) %}
    select
        cast('{{ source }}' as varchar) as source_system
        {%- for column in wanted %},
        cast({{ column.name if column.name in given else 'null' }} as {{ column.data_type }}) as {{ column.name }}
        {%- endfor %}
    from {{ ref('stg_' ~ source ~ '__' ~ entity) }}
        {{ 'union all' if not loop.last }}
    {% else %}
    select
        cast(null as varchar) as source_system
        {%- for column in wanted %},
        cast(null as {{ column.data_type }}) as {{ column.name }}
        {%- endfor %}
    where false
    {% endfor %}
{% endmacro %}

{# Every identifier column of an entity's staging models, unpivoted: node_key, type, value as
   given, whether it is verified (meta `verified` or, by row, `verified_by`), and when it was seen.
   `came`, a condition on loaded_at, leaves out what else there is. #}
{% macro unpivot_identifiers(entity, node_key, first_seen_at, last_seen_at, came=none) %}
    {% set selects = [] %}
    {% for source in sources_of(entity) %}
        {% set relation = ref('stg_' ~ source ~ '__' ~ entity) %}
        {% for column in staged_columns(source, entity).values() if column.config.meta.identifier %}
            {% set meta = column.config.meta %}
            {% set statement %}
    select
        {{ node_key | replace('{source}', source) }} as node_key,
        '{{ meta.identifier }}' as identifier_type,
        trim(cast({{ column.name }} as varchar)) as identifier_value,
        {{ 'coalesce(' ~ meta.verified_by ~ ', false)' if meta.verified_by else (meta.verified or false) }} as is_verified,
        {{ first_seen_at }} as first_seen_at,
        {{ last_seen_at }} as last_seen_at
    from {{ relation }}
    {%- if came and 'loaded_at' in staged_columns(source, entity) %}
    where {{ came }}
    {%- endif %}
            {% endset %}
            {% do selects.append(statement) %}
        {% endfor %}
    {% endfor %}
    {% if selects %}{{ selects | join('    union all\n') }}{% else %}
    select
        cast(null as varchar) as node_key,
        cast(null as varchar) as identifier_type,
        cast(null as varchar) as identifier_value,
        cast(null as boolean) as is_verified,
        cast(null as timestamp) as first_seen_at,
        cast(null as timestamp) as last_seen_at
    where false
    {% endif %}
{% endmacro %}

{# The same of built events, one select a column: sources may differ in what is verified. #}
{% macro unpivot_event_identifiers(relation) %}
    {% set found = {} %}
    {% for source in sources_of('events') %}
        {% for column in staged_columns(source, 'events').values() if column.config.meta.identifier %}
            {% set meta = column.config.meta %}
            {% for name in [column.name] + ([meta.verified_by] if meta.verified_by else []) if name not in graph.nodes['model.' ~ project_name ~ '.events'].columns %}
                {{ exceptions.raise_compiler_error('stg_' ~ source ~ '__events.yml: ' ~ name ~ ' says who somebody is, but canonical.events has no such column: add it to models/canonical/events.yml and events.sql, and to models/intermediate/canonical/int_events.yml') }}
            {% endfor %}
            {% set verified = 'coalesce(' ~ meta.verified_by ~ ', false)' if meta.verified_by else (meta.verified or false) %}
            {% do found.setdefault((column.name, meta.identifier), {}).update({source: verified}) %}
        {% endfor %}
    {% endfor %}
    {% for key, verified in found.items() %}
    select
        'anon:' || anonymous_id as node_key,
        '{{ key[1] }}' as identifier_type,
        trim(cast({{ key[0] }} as varchar)) as identifier_value,
        case source_system {% for source, is_it in verified.items() %}when '{{ source }}' then {{ is_it }} {% endfor %}end as is_verified,
        event_at
    from {{ relation }}
    where {{ key[0] }} is not null and source_system in ('{{ verified.keys() | join("', '") }}')
        {{ 'union all' if not loop.last }}
    {% else %}
    select
        cast(null as varchar) as node_key,
        cast(null as varchar) as identifier_type,
        cast(null as varchar) as identifier_value,
        cast(null as boolean) as is_verified,
        cast(null as timestamp) as event_at
    where false
    {% endfor %}
{% endmacro %}
