with newest_first as (
    select
        day,
        model_id,
        label,
        picture,
        uploader,
        confidence,
        -- The digests only break a tie, so that two runs of one day agree.
        row_number() over (
            partition by day, image_id, model_id
            order by inferred_at desc, model_digest desc, preprocess_digest desc
        ) as newness
    from {{ ref("stg_classifications") }}
),

counted as (
    select
        day,
        model_id,
        label,
        count(*) as images,
        -- Photos that look alike are one picture, and who sends many is one uploader: popular is what many saw.
        count(distinct picture) as distinct_pictures,
        count(distinct uploader) as uploaders,
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
    cast(distinct_pictures as bigint) as distinct_pictures,
    cast(uploaders as bigint) as uploaders,
    round(cast(images as double) / sum(images) over (partition by day, model_id), 6) as share_of_images,
    round(mean_confidence, 6) as mean_confidence,
    cast(row_number() over (
        partition by day, model_id
        order by distinct_pictures desc, images desc, round(mean_confidence, 6) desc, label
    ) as bigint) as label_rank
from counted
