{#
  Experiments are declared in models/canonical/experiments.yml, in the meta of the model: who is
  held out, by which share and salt, and when. An audience names the one that it is under.
#}

{% macro declared_experiments() %}
    {% set key = 'model.' ~ project_name ~ '.experiments' %}
    {{ return((graph.nodes[key].config.meta.experiments or []) if execute and key in graph.nodes else []) }}
{% endmacro %}

{# experiment_id -> names of the audiences that are under it. `orchestration/staleness.py` knows this
   macro: a model that calls it is stale when an audience changes its experiment. #}
{% macro audiences_by_experiment() %}
    {% set found = {} %}
    {% if execute %}
        {% for node in graph.nodes.values() if is_audience(node) and node.config.meta.experiment %}
            {% do found.setdefault(node.config.meta.experiment, []).append(node.name) %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}

{# Raises an error that names the key, for an experiment that cannot be run. #}
{% macro check_experiments() %}
    {% set known = ['experiment_id', 'name', 'kind', 'unit', 'salt', 'control_share', 'primary_metric', 'started_on', 'ended_on'] %}
    {% set seen = [] %}
    {% for experiment in declared_experiments() %}
        {% set where = 'models/canonical/experiments.yml: experiments[' ~ loop.index0 ~ ']' %}
        {% for key in experiment if key not in known %}
            {{ exceptions.raise_compiler_error(where ~ '.' ~ key ~ ': unknown key; known are ' ~ known | join(', ')) }}
        {% endfor %}
        {% for key in ['experiment_id', 'salt', 'control_share', 'started_on'] if not experiment[key] %}
            {{ exceptions.raise_compiler_error(where ~ '.' ~ key ~ ' is missing') }}
        {% endfor %}
        {% if experiment.experiment_id in seen %}
            {{ exceptions.raise_compiler_error(where ~ ': ' ~ experiment.experiment_id ~ ' is declared twice') }}
        {% endif %}
        {% do seen.append(experiment.experiment_id) %}
        {% if experiment.control_share is not number or not 0 < experiment.control_share < 1 %}
            {{ exceptions.raise_compiler_error(where ~ '.control_share is ' ~ experiment.control_share ~ ': write a share between 0 and 1, such as 0.1') }}
        {% endif %}
    {% endfor %}
{% endmacro %}

{% macro check_experiment(experiment_id) %}
    {% set known = declared_experiments() | map(attribute='experiment_id') | list %}
    {% if experiment_id not in known %}
        {{ exceptions.raise_compiler_error(model.original_file_path ~ ': ' ~ model.name ~ ', config.meta.experiment: no experiment ' ~ experiment_id ~ ' in models/canonical/experiments.yml; there are ' ~ (known | join(', ') or 'none')) }}
    {% endif %}
{% endmacro %}

{# The project's on-run-end: while an experiment runs, each member of its audiences who has no arm yet
   gets one, and keeps it: the arm follows from the salt and the customer's id, and a later change of
   the share moves nobody. At the end and not in the audiences' hook, since two audiences may be under
   one experiment, and are built side by side. #}
{% macro assign_experiments() %}
    {% if execute and load_relation(api.Relation.create(database=target.database, schema='canonical', identifier='experiments')) %}
        {% for experiment_id, audiences in audiences_by_experiment().items() %}
insert into canonical.experiment_assignments
with members as (
    select distinct customer_id from audiences.membership
    where audience_id in ('{{ audiences | join("', '") }}')
)

select
    experiment.experiment_id,
    members.customer_id,
    case
        when {{ hash_fraction("experiment.salt || ':' || members.customer_id") }} < experiment.control_share then 'control'
        else 'treatment'
    end,
    {{ booking_moment() }}
from members
inner join canonical.experiments as experiment
    on experiment.experiment_id = '{{ experiment_id }}' and experiment.is_running
left join canonical.experiment_assignments as assigned
    on experiment.experiment_id = assigned.experiment_id and members.customer_id = assigned.unit_id
where assigned.unit_id is null
order by members.customer_id;
        {% endfor %}
    {% endif %}
{% endmacro %}
