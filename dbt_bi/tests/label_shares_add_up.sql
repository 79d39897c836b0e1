{#- The shares of a model's labels make the whole day, up to the rounding of each to six digits. -#}
select day, model_id, sum(share_of_images) as share_sum
from {{ ref("daily_label_popularity") }}
where {{ in_window("day") }}
group by day, model_id
having abs(sum(share_of_images) - 1) > 0.000001 * count(*)
