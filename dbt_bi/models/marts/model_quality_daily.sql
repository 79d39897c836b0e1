select
    day,
    model_id,
    model_digest,
    preprocess_digest,
    cast(count(*) as bigint) as images,
    cast(count(distinct label) as bigint) as distinct_labels,
    round(avg(confidence), 6) as mean_confidence,
    round({{ percentile_of("confidence", 0.1) }}, 6) as p10_confidence,
    round({{ percentile_of("confidence", 0.5) }}, 6) as median_confidence,
    round({{ percentile_of("confidence", 0.9) }}, 6) as p90_confidence,
    cast({{ var("low_confidence") }} as double) as low_confidence_threshold,
    round(
        cast(count(case when confidence < {{ var("low_confidence") }} then 1 end) as double) / count(*), 6
    ) as low_confidence_share
from {{ ref("stg_classifications") }}
group by day, model_id, model_digest, preprocess_digest
