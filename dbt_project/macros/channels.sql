{# Query parameters by which ad platforms mark a click. #}
{% macro ad_click_parameters() %}
    {{ return(['gclid', 'gbraid', 'wbraid', 'dclid', 'fbclid', 'msclkid', 'ttclid', 'li_fat_id', 'twclid', 'epik', 'sccid']) }}
{% endmacro %}

{# The marketing channel of a visit, after the rules of Google Analytics' default channel group:
   support.google.com/analytics/answer/9756891. A medium that no rule knows stays as it is. #}
{% macro marketing_channel(source, medium, referrer, click_id) -%}
    {%- set m = 'lower(' ~ medium ~ ')' -%}
    {%- set s = 'lower(' ~ source ~ ')' -%}
    {%- set search = "'google', 'bing', 'yahoo', 'duckduckgo', 'baidu', 'ecosia', 'yandex', 'qwant'" -%}
    {%- set social = "'facebook', 'fb', 'instagram', 'ig', 'meta', 'tiktok', 'linkedin', 'twitter', 'x', 'pinterest', 'snapchat', 'reddit', 'youtube'" -%}
    case
        when {{ m }} in ('email', 'e-mail', 'newsletter') or {{ s }} in ('email', 'newsletter') then 'email'
        when {{ m }} = 'sms' then 'sms'
        when {{ m }} in ('affiliate', 'affiliates') then 'affiliate'
        when {{ m }} in ('paid_social', 'paidsocial', 'paid-social') then 'paid_social'
        when {{ m }} in ('display', 'banner', 'cpm', 'interstitial', 'expandable') then 'display'
        when {{ m }} in ('cpc', 'ppc', 'cpa', 'cpv', 'paid', 'retargeting', 'paidsearch', 'paid_search') and {{ s }} in ({{ social }}) then 'paid_social'
        when {{ m }} in ('cpc', 'ppc', 'paidsearch', 'paid_search') then 'paid_search'
        when {{ m }} in ('cpa', 'cpv', 'paid', 'retargeting') then 'paid_other'
        when {{ m }} in ('social', 'social-network', 'social-media', 'sm', 'organic_social') then 'organic_social'
        when {{ m }} = 'organic' then 'organic_search'
        when {{ m }} = 'referral' then 'referral'
        when {{ m }} is not null then {{ m }}
        when {{ click_id }} is not null then 'paid_other'
        when {{ s }} in ({{ social }}) then 'organic_social'
        when {{ s }} in ({{ search }}) then 'organic_search'
        when {{ referrer }} is not null then 'referral'
        else 'direct'
    end
{%- endmacro %}

{# The same in Google Analytics' spelling. #}
{% macro default_channel_group(channel) -%}
    {%- set labels = {
        'email': 'Email', 'sms': 'SMS', 'affiliate': 'Affiliates', 'paid_social': 'Paid Social', 'display': 'Display',
        'paid_search': 'Paid Search', 'paid_other': 'Paid Other', 'organic_social': 'Organic Social',
        'organic_search': 'Organic Search', 'referral': 'Referral', 'direct': 'Direct',
    } -%}
    case {{ channel }}
        {%- for name, label in labels.items() %}
        when '{{ name }}' then '{{ label }}'
        {%- endfor %}
        else 'Unassigned'
    end
{%- endmacro %}
