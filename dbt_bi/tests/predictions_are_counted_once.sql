{#- The promise of the lake: a photo is predicted once per model version. The marts would count a second row twice. -#}
{{ config(meta={"dagster": {"ref": {"name": "model_quality_daily"}}}) }}
-- depends_on: {{ ref("model_quality_daily") }}
select day, image_id, model_digest, preprocess_digest, count(*) as rows_found
from {{ ref("stg_classifications") }}
group by day, image_id, model_digest, preprocess_digest
having count(*) > 1
