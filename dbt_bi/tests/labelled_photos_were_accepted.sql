{#- A model cannot have labelled more photos than were accepted that day. -#}
{{ config(meta={"dagster": {"ref": {"name": "daily_label_popularity"}}}) }}
with labelled as (
    select day, model_id, sum(images) as images
    from {{ ref("daily_label_popularity") }}
    where {{ in_window("day") }}
    group by day, model_id
)

select labelled.day, labelled.model_id, labelled.images, intake.accepted
from labelled
left join {{ ref("daily_intake_quality") }} as intake on intake.day = labelled.day
where labelled.images > coalesce(intake.accepted, 0)
