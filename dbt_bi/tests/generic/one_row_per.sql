{#- The grain: fails for every key that occurs twice and for every key with a missing part. -#}
{% test one_row_per(model, columns) %}
select {{ columns | join(", ") }}, count(*) as rows_found
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1
{%- for column in columns %} or {{ column }} is null{% endfor %}
{% endtest %}
