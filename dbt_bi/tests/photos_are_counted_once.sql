{#- A key is one row, and two accepted photos never share a name: predictions know a photo by its image_id only. -#}
{{ config(meta={"dagster": {"ref": {"name": "daily_intake_quality"}}}) }}
-- depends_on: {{ ref("daily_intake_quality") }}
select day, key as repeated, count(*) as rows_found
from {{ ref("stg_raw_images") }}
group by day, key
having count(*) > 1

union all

select day, image_id as repeated, count(*) as rows_found
from {{ ref("stg_raw_images") }}
where status = 'accepted'
group by day, image_id
having count(*) > 1
