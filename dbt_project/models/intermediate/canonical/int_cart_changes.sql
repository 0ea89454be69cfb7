{{ config(
    materialized='incremental',
    unique_key='changed_id',
    incremental_strategy='delete+insert',
    on_schema_change='sync_all_columns',
    full_refresh=false,
    pre_hook="{{ forget_gone() }}",
) }}
{{ changed_inputs('int_cart_inputs') }}
