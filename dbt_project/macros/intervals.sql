{# Whether a moment is in a half-open interval valid_from..valid_to, either of which may be open (null). #}
{% macro is_while(moment, interval) -%}
    ({{ interval }}.valid_from is null or {{ moment }} >= {{ interval }}.valid_from)
    and ({{ interval }}.valid_to is null or {{ moment }} < {{ interval }}.valid_to)
{%- endmacro %}
