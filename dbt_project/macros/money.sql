{# An amount in the reporting currency, by the rate of its day: give the joined rates' aliases. What is
   in the reporting currency already needs no rate: a company of one currency has none. #}
{% macro in_reporting_currency(amount, currency, rate, reporting) -%}
    case
        when {{ currency }} = '{{ var("reporting_currency") }}' then {{ amount }}
        -- A quotient is a double: as a decimal first, so that cents are rounded exactly.
        else cast({{ amount }} * cast({{ rate }}.usd_rate / {{ reporting }}.usd_rate as decimal(18, 9)) as decimal(18, 2))
    end
{%- endmacro %}

{# Whether a rate holds on a day. #}
{% macro holds_on(rate, day) -%}
    cast({{ day }} as date) >= {{ rate }}.valid_from and ({{ rate }}.valid_to is null or cast({{ day }} as date) < {{ rate }}.valid_to)
{%- endmacro %}
