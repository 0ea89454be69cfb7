{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ prune_log('orders') }}",
) }}
{{ changes_of('orders') }}
