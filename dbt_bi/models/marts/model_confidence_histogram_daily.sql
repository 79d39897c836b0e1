with bins as (
    select explicit_bins.bin
    from (
        values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)
    ) as explicit_bins (bin)
),

binned as (
    select
        day,
        model_id,
        model_digest,
        preprocess_digest,
        -- The last bin is closed on both sides. What lies outside 0..1 finds no bin, and histogram_adds_up tells.
        case when confidence = 1 then 9 else cast(floor(confidence * 10) as int) end as bin
    from {{ ref("stg_classifications") }}
),

counted as (
    select day, model_id, model_digest, preprocess_digest, bin, count(*) as images
    from binned
    group by day, model_id, model_digest, preprocess_digest, bin
),

versions as (
    select distinct day, model_id, model_digest, preprocess_digest
    from binned
)

-- Every bin of every version, so that an empty bin is drawn as 0.
select
    versions.day,
    versions.model_id,
    versions.model_digest,
    versions.preprocess_digest,
    cast(bins.bin as bigint) as bin,
    round(cast(bins.bin as double) / 10, 1) as confidence_from,
    round(cast(bins.bin + 1 as double) / 10, 1) as confidence_to,
    cast(coalesce(counted.images, 0) as bigint) as images
from versions
cross join bins
left join counted
    on counted.day = versions.day
    and counted.model_id = versions.model_id
    and counted.model_digest = versions.model_digest
    and counted.preprocess_digest = versions.preprocess_digest
    and counted.bin = bins.bin
