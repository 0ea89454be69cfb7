{#
  What the folder adds to an audience, so that an audience is its SELECT. `book_audience` is the
  folder's post-hook and runs in the transaction that builds the audience's table:

  - the contract: customers that exist, each once, no more than `max_size`. An audience that breaks
    it is rolled back, the one of before stays, and the error says what is wrong;
  - audiences.membership, audiences.membership_history: who is in it, who came and who went;
  - audiences.definitions: what it is, and the SELECT as it was run.

  The arms of members are assigned when all audiences are built (macros/experiments.sql). What is
  booked is the difference to what was booked before: repeating it books nothing.
#}

{# The tables of the books: the project's on-run-start. #}
{% macro open_audience_books() %}
    {% if execute %}
create schema if not exists audiences;
create schema if not exists canonical;
create table if not exists audiences.membership (
    audience_id varchar, customer_id varchar, entered_at timestamp
);
create table if not exists audiences.membership_history (
    audience_id varchar, customer_id varchar, changed_at timestamp, change varchar, is_member boolean,
    related_customer_id varchar, reason varchar, run_id varchar
);
create table if not exists audiences.definitions (
    audience_id varchar, description varchar, owner varchar, consent_purpose varchar,
    experiment_id varchar, max_size bigint, declared_in varchar, sql varchar,
    views struct(name varchar, sql varchar)[], booked_at timestamp
);
create table if not exists canonical.experiment_assignments (
    experiment_id varchar, unit_id varchar, variant varchar, assigned_at timestamp
);
{{ close_audience_books() }}
    {% endif %}
{% endmacro %}

{# Which ids are in use no more, looked up once for all audiences of an invocation (identity has it as a
   view, which walks through every merge there ever was): the project's on-run-start as well. #}
{% macro look_up_moved_ids() %}
    {% if execute %}
        {% set asked = [] %}
        {% for key in selected_resources if key in graph.nodes and is_audience(graph.nodes[key]) %}
            {% do asked.append(key) %}
        {% endfor %}
        {% set view = "select 1 from information_schema.tables where table_catalog = '" ~ target.database ~ "'"
            ~ " and table_schema = 'identity' and table_name = 'moved_ids'" %}
        {% if asked and run_query(view).rows %}
begin transaction;
{{ copy_moved_ids() }}
commit;
        {% endif %}
    {% endif %}
{% endmacro %}

{% macro copy_moved_ids() %}
create schema if not exists intermediate;
create or replace table intermediate.moved_ids as select * from identity.moved_ids;
{% endmacro %}

{# The same by itself, for a run that has nothing to build. #}
{% macro settle_audience_books() %}
    {% do run_query(close_audience_books()) %}
{% endmacro %}

{# Audiences that are declared no more: their members have left. #}
{% macro close_audience_books() %}
    {% set there = [] %}
    {% for node in graph.nodes.values() if is_audience(node) %}
        {% do there.append("'" ~ node.name ~ "'") %}
    {% endfor %}
    {% set gone = "audience_id not in (" ~ (there | join(', ') or "''") ~ ")" %}
begin transaction;
insert into audiences.membership_history
select
    audience_id, customer_id, {{ booking_moment() }}, 'exited', false, null, 'the audience was removed',
    '{{ booking_run() }}'
from audiences.membership where {{ gone }};
delete from audiences.membership where {{ gone }};
delete from audiences.definitions where {{ gone }};
commit;
{% endmacro %}

{% macro is_audience(node) %}
    {{ return(node.resource_type == 'model' and node.name.startswith('aud_') and node.fqn[1] == 'audiences') }}
{% endmacro %}

{# When and by which run something is booked: the run's id leads from a load to a request. #}
{% macro booking_moment() %}cast('{{ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') }}' as timestamp){% endmacro %}
{% macro booking_run() %}{{ env_var('MAINSTEM_RUN_ID', '') or invocation_id }}{% endmacro %}

{% macro book_audience() %}
    {% set customers = ref('golden_customers') %}
    {% do ref('experiments') %}
    {% if execute and is_audience(model) %}
        {% set meta = model.config.meta %}
        {% do check_audience(customers, meta) %}
        {% if meta.experiment %}{% do check_experiment(meta.experiment) %}{% endif %}
        {{ book_membership() }}
delete from audiences.definitions where audience_id = '{{ model.name }}';
insert into audiences.definitions values (
    '{{ model.name }}', {{ text_literal(model.description) }}, {{ text_literal(meta.owner) }},
    {{ text_literal(meta.consent_purpose) }}, {{ text_literal(meta.experiment) }},
    {{ meta.max_size if meta.max_size is not none and meta.max_size is defined else 'null' }},
    {{ text_literal(meta.declared_in or model.original_file_path) }}, {{ text_literal(compiled_code) }},
    {{ views_behind() }}, {{ booking_moment() }}
);
    {% endif %}
{% endmacro %}

{# The views that the audience's SELECT reads and that are not published, parents first, so that
   whoever has the published file alone can run the SELECT. #}
{% macro views_behind() -%}
    {%- set names = [] -%}
    {%- do collect_views(model, names) -%}
    {%- if names -%}
(
        select list({'name': wanted.name, 'sql': views.sql} order by wanted.position)
        from (values {% for name in names %}('{{ name }}', {{ loop.index }}){{ ', ' if not loop.last }}{% endfor %}) as wanted (name, position)
        inner join duckdb_views() as views on wanted.name = views.schema_name || '.' || views.view_name
        where views.database_name = current_database()
    )
    {%- else -%}null{%- endif -%}
{%- endmacro %}

{% macro collect_views(node, names) %}
    {% for key in node.depends_on.nodes if key in graph.nodes and graph.nodes[key].config.materialized == 'view' %}
        {% set parent = graph.nodes[key] %}
        {% set name = parent.schema ~ '.' ~ (parent.alias or parent.name) %}
        {% if name not in names %}
            {% do collect_views(parent, names) %}
            {% if name not in names %}{% do names.append(name) %}{% endif %}
        {% endif %}
    {% endfor %}
{% endmacro %}

{% macro text_literal(value) -%}
    {{ "'" ~ (value | trim | replace("'", "''")) ~ "'" if value else 'null' }}
{%- endmacro %}

{# Raises an error that names the audience and what to do; the transaction takes everything back. #}
{% macro check_audience(customers, meta) %}
    {% set where = model.original_file_path ~ ': ' ~ model.name %}
    {% set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | map('lower') | list %}
    {% if 'customer_id' not in columns %}
        {{ exceptions.raise_compiler_error(where ~ ' selects no column customer_id (it has ' ~ columns | join(', ') ~ '): an audience is a SELECT of customer_id') }}
    {% endif %}
    {% set found = run_query("
        select
            count(*),
            count(*) - count(customer_id),
            count(customer_id) - count(distinct customer_id),
            (select count(distinct customer_id) from " ~ this ~ " where customer_id not in (select customer_id from " ~ customers ~ "))
        from " ~ this).rows[0] %}
    {% if found[1] > 0 %}
        {{ exceptions.raise_compiler_error(where ~ ' selects ' ~ found[1] ~ ' rows without a customer_id: leave them out, with `where customer_id is not null`') }}
    {% elif found[2] > 0 %}
        {{ exceptions.raise_compiler_error(where ~ ' selects customers more than once (' ~ found[2] ~ ' rows too many): group by customer_id, or select distinct') }}
    {% elif found[3] > 0 %}
        {{ exceptions.raise_compiler_error(where ~ ' selects ' ~ found[3] ~ ' customers who are not in golden_customers (visitors that nobody knows, most likely): join it') }}
    {% elif meta.max_size is defined and meta.max_size is not none and found[0] > meta.max_size %}
        {{ exceptions.raise_compiler_error(where ~ ' selects ' ~ found[0] ~ ' customers and may have ' ~ meta.max_size ~ ': look at its conditions, or raise config.meta.max_size') }}
    {% endif %}
{% endmacro %}

{#
  Members before and members now, compared by person: the ids of before lead to those of today
  through identity.resolve_forward (as it was when dbt began), so a merge is no exit. `remapped` books a change of id alone:

  - two became one: the id that ended is a member no more (related: the one it leads to), and the
    one that stays is a member since then, unless it was one already;
  - one became two: who was split off a member since the last booking, and is selected, was in the
    audience all along under the other id.

  The last row of a customer in the history says whether they are a member: `is_member`.
#}
{% macro book_membership() %}
create or replace temp table changes_of_{{ model.name }} as
with before as (
    select customer_id, entered_at from audiences.membership where audience_id = '{{ model.name }}'
),

today as (
    select customer_id from {{ this }}
),

-- each former member, and the id that they go by today (null: no record of them is left)
led as (
    select
        before.customer_id,
        before.entered_at,
        case when moved.customer_id is null then before.customer_id else moved.current_customer_id end as current_customer_id
    from before
    left join intermediate.moved_ids as moved on before.customer_id = moved.customer_id
),

former as (
    select
        led.*,
        today.customer_id is not null as is_selected
    from led
    left join today on led.current_customer_id = today.customer_id
),

new_splits as (
    select distinct from_customer_id, to_customer_id
    from identity.history
    where
        event = 'split'
        and changed_at > (select max(booked_at) from audiences.definitions where audience_id = '{{ model.name }}')
),

ended as (
    select
        former.customer_id,
        case
            when former.current_customer_id <> former.customer_id and former.is_selected then 'remapped' else 'exited'
        end as change,
        false as is_member,
        case when former.current_customer_id <> former.customer_id then former.current_customer_id end
            as related_customer_id,
        case
            when former.current_customer_id is null then 'no record of them is left'
            when former.current_customer_id <> former.customer_id and former.is_selected then 'merged into another'
            when former.current_customer_id <> former.customer_id then 'merged into another who is not selected'
            when exists (select 1 from new_splits where from_customer_id = former.customer_id) then 'split, and not selected'
            else 'selected no more'
        end as reason,
        former.entered_at
    from former
    where not former.is_selected or former.current_customer_id <> former.customer_id
),

came as (
    select today.customer_id
    from today
    left join before on today.customer_id = before.customer_id
    where before.customer_id is null
),

merged as (
    select
        current_customer_id as customer_id,
        min(customer_id) as related_customer_id,
        min(entered_at) as entered_at
    from former
    where current_customer_id <> customer_id
    group by current_customer_id
),

split as (
    select
        new_splits.to_customer_id as customer_id,
        min(former.customer_id) as related_customer_id,
        min(former.entered_at) as entered_at
    from new_splits
    inner join former
        on new_splits.from_customer_id in (former.customer_id, former.current_customer_id)
    group by new_splits.to_customer_id
),

begun as (
    select
        came.customer_id,
        case when coalesce(merged.customer_id, split.customer_id) is not null then 'remapped' else 'entered' end as change,
        true as is_member,
        coalesce(merged.related_customer_id, split.related_customer_id) as related_customer_id,
        case
            when merged.customer_id is not null then 'merged from another'
            when split.customer_id is not null then 'split from another'
            else 'selected'
        end as reason,
        coalesce(merged.entered_at, split.entered_at, {{ booking_moment() }}) as entered_at
    from came
    left join merged on came.customer_id = merged.customer_id
    left join split on came.customer_id = split.customer_id
)

select * from ended
union all by name
select * from begun;

insert into audiences.membership_history
select
    '{{ model.name }}', customer_id, {{ booking_moment() }}, change, is_member, related_customer_id, reason,
    '{{ booking_run() }}'
from changes_of_{{ model.name }}
order by customer_id;
delete from audiences.membership
where
    audience_id = '{{ model.name }}'
    and customer_id in (select customer_id from changes_of_{{ model.name }} where not is_member);
insert into audiences.membership
select '{{ model.name }}', customer_id, entered_at from changes_of_{{ model.name }} where is_member order by customer_id;
drop table changes_of_{{ model.name }};
{% endmacro %}
