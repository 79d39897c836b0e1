with newest_first as (
    select
        predictions.day,
        predictions.model_id,
        predictions.label,
        predictions.confidence,
        -- The digests only break a tie, so that two runs of one day agree.
        row_number() over (
            partition by predictions.day, predictions.image_id, predictions.model_id
            order by predictions.inferred_at desc, predictions.model_digest desc, predictions.preprocess_digest desc
        ) as newness
    from {{ ref("stg_classifications") }} as predictions
    inner join {{ ref("stg_raw_images") }} as photos
        on photos.day = predictions.day
        and photos.image_id = predictions.image_id
        -- A photo overwritten under its key is another photo: what was said of the old bytes does not count.
        and photos.sha256 = predictions.sha256
    where photos.status = 'accepted'
),

counted as (
    select
        day,
        model_id,
        label,
        count(*) as images,
        avg(confidence) as mean_confidence
    from newest_first
    where newness = 1
    group by day, model_id, label
)

select
    day,
    model_id,
    label,
    cast(images as bigint) as images,
    round(cast(images as double) / sum(images) over (partition by day, model_id), 6) as share_of_images,
    round(mean_confidence, 6) as mean_confidence,
    cast(row_number() over (
        partition by day, model_id
        order by images desc, round(mean_confidence, 6) desc, label
    ) as bigint) as label_rank
from counted
