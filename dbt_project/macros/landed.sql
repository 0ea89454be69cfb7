{#
  Ready-made sources: tables that somebody else's connector (Fivetran's, Segment's, RudderStack's)
  lands in the warehouse. Such connectors create a column only once there is something in it, and a
  table only once it is used. So the source's YAML says which columns a staging model wants, with
  types, and what is not there is null; a table with `config.meta.optional: true` may be missing.
#}

{# The columns of a table as its YAML declares them, typed, times in UTC: a whole select. #}
{% macro landed(source_name, table_name) %}
    {%- set relation = source(source_name, table_name) -%}
    {%- if not execute %}
    select * from {{ relation }}
    {%- else -%}
    {%- set declared = graph.sources['source.' ~ project_name ~ '.' ~ source_name ~ '.' ~ table_name] -%}
    {%- set there = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do there.update({column.name | lower: column}) -%}
    {%- endfor -%}
    {%- if not there and not declared.config.meta.optional -%}
        {{ exceptions.raise_compiler_error(relation ~ ' is not in the warehouse. The source ' ~ source_name ~ ' reads it: sync the table, say in the var ' ~ source_name ~ '_schema where it is, or take the entities that need it out of `sources` in dbt_project.yml') }}
    {%- endif %}
    select
        {%- for column in declared.columns.values() %}
        {{ landed_value(there.get(column.name | lower), column.data_type) }} as {{ adapter.quote(column.name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    {% if there %}from {{ relation }}{% else %}where false{% endif %}
    {%- endif %}
{% endmacro %}

{# One landed column as the wanted type; blank text is nothing unless text is wanted. #}
{% macro landed_value(column, data_type) -%}
    {%- if column is none -%}
        cast(null as {{ data_type }})
    {%- else -%}
        {%- set given = adapter.quote(column.name) -%}
        {%- if column.is_string() and data_type != 'varchar' -%}
            {%- set given = "nullif(trim(" ~ given ~ "), '')" -%}
        {%- endif -%}
        {%- if data_type == 'timestamp' and (column.is_string() or 'zone' in column.dtype | lower) -%}
            {{ utc(given) }}
        {%- else -%}
            cast({{ given }} as {{ data_type }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
