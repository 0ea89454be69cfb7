{#
  A primary key is declared in a model's contract and checked by its tests, and is no constraint of
  the table: DuckDB would keep it as an index, which takes twice as long to fill as the table itself,
  has to fit into memory, and no query of ours would use it. Warehouses in the cloud do not enforce
  one either.
#}
{% macro duckdb__get_table_columns_and_constraints() %}
    {%- set columns = adapter.render_raw_columns_constraints(raw_columns=model['columns']) -%}
    {%- set declared = model['constraints'] | rejectattr('type', 'equalto', 'primary_key') | list -%}
    ({{ (columns + adapter.render_raw_model_constraints(raw_constraints=declared)) | join(', ') }})
{% endmacro %}
