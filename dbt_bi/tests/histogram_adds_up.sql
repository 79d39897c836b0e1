{#- The ten bins of a model version hold each of its photos once. -#}
{{ config(meta={"dagster": {"ref": {"name": "model_confidence_histogram_daily"}}}) }}
with binned as (
    select day, model_id, model_digest, preprocess_digest, count(*) as bins, sum(images) as images
    from {{ ref("model_confidence_histogram_daily") }}
    where {{ in_window("day") }}
    group by day, model_id, model_digest, preprocess_digest
)

select quality.day, quality.model_id, quality.images, binned.bins, binned.images as images_in_bins
from {{ ref("model_quality_daily") }} as quality
left join binned
    on binned.day = quality.day
    and binned.model_id = quality.model_id
    and binned.model_digest = quality.model_digest
    and binned.preprocess_digest = quality.preprocess_digest
where {{ in_window("quality.day") }}
    and (coalesce(binned.bins, 0) != 10 or coalesce(binned.images, 0) != quality.images)
