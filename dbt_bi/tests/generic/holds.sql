{#- An identity or a bound that every row keeps; a condition that is NULL fails too. -#}
{% test holds(model, condition) %}
select *
from {{ model }}
where not coalesce({{ condition }}, false)
{% endtest %}
