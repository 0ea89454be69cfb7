{# "Now" is a parameter: MAINSTEM_AS_OF, else the var `as_of`, else the moment the run began. #}
{% macro as_of() -%}
    {%- set given = env_var('MAINSTEM_AS_OF', '') or var('as_of', none) or run_started_at.strftime('%Y-%m-%d %H:%M:%S') -%}
    cast('{{ given }}' as timestamp)
{%- endmacro %}
