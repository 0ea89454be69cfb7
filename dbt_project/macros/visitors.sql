{# Visitors and whose they are: a whole select. The id is cut out of the few keys of nodes, so that the many
   rows that are joined to it are joined by a column of their own. #}
{% macro visitors() %}
    select
        substr(node_key, {{ 'anon:' | length + 1 }}) as anonymous_id,
        customer_id
    from {{ ref('stg_identity__crosswalk') }}
    where node_key like 'anon:%'
{%- endmacro %}
