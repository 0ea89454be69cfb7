{# Everything that differs from engine to engine, and nothing else. Models call these names. #}

{% macro json_text(column, path) %}{{ return(adapter.dispatch('json_text')(column, path)) }}{% endmacro %}
{% macro duckdb__json_text(column, path) %}({{ column }} ->> '{{ path }}'){% endmacro %}

{# The elements of a JSON array, one row each, as column `element`: use it in a lateral join. #}
{% macro json_elements(column) %}{{ return(adapter.dispatch('json_elements')(column)) }}{% endmacro %}
{% macro duckdb__json_elements(column) %}unnest(cast({{ column }} as json[])){% endmacro %}

{# A date out of text in a known order, null where the text is no such date. #}
{% macro parse_date(column, format) %}{{ return(adapter.dispatch('parse_date')(column, format)) }}{% endmacro %}
{% macro duckdb__parse_date(column, format) %}cast(try_strptime({{ column }}, '{{ format }}') as date){% endmacro %}

{# A moment out of the seconds since 1970. #}
{% macro from_epoch(column) %}{{ return(adapter.dispatch('from_epoch')(column)) }}{% endmacro %}
{% macro duckdb__from_epoch(column) %}make_timestamp(cast({{ column }} as bigint) * 1000000){% endmacro %}

{# A value as a type, null where it is none: for what comes out of JSON, which loading did not type. #}
{% macro as_type(expression, data_type) %}{{ return(adapter.dispatch('as_type')(expression, data_type)) }}{% endmacro %}
{% macro duckdb__as_type(expression, data_type) %}try_cast({{ expression }} as {{ data_type }}){% endmacro %}

{% macro hours_after(column, hours) %}{{ return(adapter.dispatch('hours_after')(column, hours)) }}{% endmacro %}
{% macro duckdb__hours_after(column, hours) %}({{ column }} + interval '{{ hours }} hours'){% endmacro %}

{% macro days_before(column, days) %}{{ return(adapter.dispatch('days_before')(column, days)) }}{% endmacro %}
{% macro duckdb__days_before(column, days) %}({{ column }} - interval '{{ days }} days'){% endmacro %}

{# The value of `column` in the row that `order_by` puts first (the greatest first). #}
{% macro first_by(column, order_by) %}{{ return(adapter.dispatch('first_by')(column, order_by)) }}{% endmacro %}
{% macro duckdb__first_by(column, order_by) %}first({{ column }} order by {{ order_by }}){% endmacro %}

{# Several columns of the row that `order_by` puts first, as one record: `record.column`. #}
{% macro first_record_by(columns, order_by) %}{{ return(adapter.dispatch('first_record_by')(columns, order_by)) }}{% endmacro %}
{% macro duckdb__first_record_by(columns, order_by) %}first(struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}{% endfor %}) order by {{ order_by }}){% endmacro %}

{# A moment with an offset (or text of one; without an offset it is UTC already) as a UTC timestamp. #}
{% macro utc(column) %}{{ return(adapter.dispatch('utc')(column)) }}{% endmacro %}
{% macro duckdb__utc(column) %}(cast({{ column }} as timestamptz) at time zone 'UTC'){% endmacro %}

{# A UTC timestamp out of microseconds since 1970. #}
{% macro from_micros(column) %}{{ return(adapter.dispatch('from_micros')(column)) }}{% endmacro %}
{% macro duckdb__from_micros(column) %}make_timestamp({{ column }}){% endmacro %}

{# The object of a JSON array whose `key` is `name`; the first, if there are several. #}
{% macro json_keyed(column, name) %}{{ return(adapter.dispatch('json_keyed')(column, name)) }}{% endmacro %}
{% macro duckdb__json_keyed(column, name) %}list_filter(cast({{ column }} as json[]), lambda e: (e ->> '$.key') = '{{ name }}')[1]{% endmacro %}

{# What follows the first `marker` in a text, up to an `&`; null where it is not there. #}
{% macro text_after(column, marker) %}{{ return(adapter.dispatch('text_after')(column, marker)) }}{% endmacro %}
{% macro duckdb__text_after(column, marker) %}nullif(regexp_extract({{ column }}, '{{ marker }}([^&]*)', 1), ''){% endmacro %}

{# The value of the first of these query parameters that a URL has; null where it has none. #}
{% macro url_parameter(column, names) %}{{ return(adapter.dispatch('url_parameter')(column, names)) }}{% endmacro %}
{% macro duckdb__url_parameter(column, names) %}nullif(regexp_extract({{ column }}, '[?&](?:{{ names | join('|') }})=([^&#]*)', 1), ''){% endmacro %}

{% macro seconds_between(earlier, later) %}{{ return(adapter.dispatch('seconds_between')(earlier, later)) }}{% endmacro %}
{% macro duckdb__seconds_between(earlier, later) %}((epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1000000.0){% endmacro %}

{# The last value that is not null in the rows before this one. #}
{% macro last_known_before(column, partition_by, order_by) %}{{ return(adapter.dispatch('last_known_before')(column, partition_by, order_by)) }}{% endmacro %}
{% macro duckdb__last_known_before(column, partition_by, order_by) %}last_value({{ column }} ignore nulls) over (partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and 1 preceding){% endmacro %}

{# The last value that is not null in the rows up to this one. #}
{% macro last_known(column, partition_by, order_by) %}{{ return(adapter.dispatch('last_known')(column, partition_by, order_by)) }}{% endmacro %}
{% macro duckdb__last_known(column, partition_by, order_by) %}last_value({{ column }} ignore nulls) over (partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and current row){% endmacro %}

{# One row a day, `date_day`, from a date to the day of a moment: a whole select. #}
{% macro date_spine(first_day, until) %}{{ return(adapter.dispatch('date_spine')(first_day, until)) }}{% endmacro %}
{% macro duckdb__date_spine(first_day, until) %}select unnest(generate_series(date '{{ first_day }}', cast({{ until }} as date), interval 1 day)) as date_day{% endmacro %}

{% macro minutes_before(column, minutes) %}{{ return(adapter.dispatch('minutes_before')(column, minutes)) }}{% endmacro %}
{% macro duckdb__minutes_before(column, minutes) %}({{ column }} - interval '{{ minutes }} minutes'){% endmacro %}

{# The calendar day of a UTC moment in a time zone. #}
{% macro local_day(moment, zone) %}{{ return(adapter.dispatch('local_day')(moment, zone)) }}{% endmacro %}
{% macro duckdb__local_day(moment, zone) %}cast(timezone('{{ zone }}', timezone('UTC', {{ moment }})) as date){% endmacro %}

{# The days from a day to the next anniversary of another, 0 if it is today. Who was born on a 29
   February celebrates on the last of February. #}
{% macro days_to_anniversary(born_on, day) %}{{ return(adapter.dispatch('days_to_anniversary')(born_on, day)) }}{% endmacro %}
{% macro duckdb__days_to_anniversary(born_on, day) -%}
    {%- set years = "cast(extract(year from " ~ day ~ ") - extract(year from " ~ born_on ~ ") as integer)" -%}
    {%- set this_year = "cast(" ~ born_on ~ " + to_years(" ~ years ~ ") as date)" -%}
    {%- set next_year = "cast(" ~ born_on ~ " + to_years(" ~ years ~ " + 1) as date)" -%}
    (case when {{ this_year }} >= {{ day }} then {{ this_year }} else {{ next_year }} end - {{ day }})
{%- endmacro %}

{# A number in [0, 1) that is the same for the same text, everywhere and for ever: the first 32 bits
   of its MD5. #}
{% macro hash_fraction(text) %}{{ return(adapter.dispatch('hash_fraction')(text)) }}{% endmacro %}
{% macro duckdb__hash_fraction(text) %}(cast('0x' || left(md5({{ text }}), 8) as bigint) / 4294967296.0){% endmacro %}

{# A number that two rows share only if they are the same. Stored, it is good until the engine hashes in
   another way: then everything seems to have changed, and is computed again. #}
{% macro row_hash(columns) %}{{ return(adapter.dispatch('row_hash')(columns)) }}{% endmacro %}
{% macro duckdb__row_hash(columns) %}hash({{ columns }}){% endmacro %}

{# A number that two sets of rows share only if they are the same set: an aggregate. Stored, it is
   as good as row_hash. #}
{% macro set_hash(columns) %}{{ return(adapter.dispatch('set_hash')(columns)) }}{% endmacro %}
{% macro duckdb__set_hash(columns) %}bit_xor(hash({{ columns }})){% endmacro %}
