{#- Fails for a name that is no stage of the registry: what it costs is not known. -#}
{% test is_a_stage(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} not in ('{{ default_eur_per_hour() | join("', '") }}')
{% endtest %}
