{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ prune_log('events') }}",
) }}
{{ changes_of('events', alone=true) }}
