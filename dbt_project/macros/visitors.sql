{# Visitors and whose they are: a whole select. The id is cut out of the few keys of nodes, so that the many
   rows that are joined to it are joined by a column of their own. #}
{% macro visitors() %}
    select
        substr(node_key, {{ 'anon:' | length + 1 }}) as anonymous_id,
        customer_id
    from {{ ref('stg_identity__crosswalk') }}
    where node_key like 'anon:%'
{%- endmacro %}

{# What figures of customers are made of, of a visit, as a hash: stored with visits that are over. #}
{% macro visit_hash() -%}
    {{ row_hash('session_id, channel, device_type, event_count, first_event_at, last_event_at, last_event_id') }}
{%- endmacro %}
