{# Schemas are named exactly as the contract between rooms says: never `<target>_<schema>`. A package
   (a user's own project beside this one) keeps the names that it has without us. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if node.package_name == 'mainstem' or custom_schema_name is none -%}
        {{ (custom_schema_name or target.schema) | trim }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}
