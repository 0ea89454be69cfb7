{# ISO 3166-1 alpha-2 of a country given as code or name; what is not known stays as it was given. #}
{% macro country_code(column) -%}
    {%- set names = {
        'US': ['USA', 'UNITED STATES', 'UNITED STATES OF AMERICA', 'U.S.', 'U.S.A.'],
        'GB': ['UK', 'UNITED KINGDOM', 'GREAT BRITAIN', 'ENGLAND', 'SCOTLAND', 'WALES'],
        'DE': ['GERMANY', 'DEUTSCHLAND'],
        'FR': ['FRANCE', 'FRANKREICH'],
    } -%}
    case
        {%- for code, spellings in names.items() %}
        when upper(trim({{ column }})) in ('{{ spellings | join("', '") }}') then '{{ code }}'
        {%- endfor %}
        else nullif(upper(trim({{ column }})), '')
    end
{%- endmacro %}
