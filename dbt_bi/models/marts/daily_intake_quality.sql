with counted as (
    select
        day,
        count(*) as photos_in,
        count(case when status = 'accepted' then 1 end) as accepted,
        count(case when status = 'duplicate' then 1 end) as duplicates,
        count(case when status = 'rejected' then 1 end) as rejected,
        -- A duplicate by its bytes has its original's group: it is told apart by having no reason.
        count(
            case when near_duplicate_group != image_id and (status = 'accepted' or reason = 'near_duplicate') then 1 end
        ) as near_duplicates,
        count(distinct uploader) as unique_uploaders,
        sum(size_bytes) as photos_in_bytes,
        sum(case when status = 'accepted' then size_bytes end) as accepted_bytes
    from {{ ref("stg_raw_images") }}
    group by day
),

newest_first as (
    select
        day,
        is_blurred,
        brightness_mean,
        -- The digests only break a tie, so that two runs of one day agree.
        row_number() over (
            partition by day, image_id
            order by inferred_at desc, model_digest desc, preprocess_digest desc
        ) as newness
    from {{ ref("stg_image_quality") }}
),

measured as (
    select
        day,
        count(*) as measured,
        avg(case when is_blurred then 1.0 else 0.0 end) as blurred_share,
        {{ percentile_of("brightness_mean", 0.5) }} as median_brightness
    from newest_first
    where newness = 1
    group by day
)

-- From the calendar, so that a day on which nothing arrived is a row of zeros and not a hole in the chart.
select
    calendar.day,
    cast(coalesce(counted.photos_in, 0) as bigint) as photos_in,
    cast(coalesce(counted.accepted, 0) as bigint) as accepted,
    cast(coalesce(counted.duplicates, 0) as bigint) as duplicates,
    cast(coalesce(counted.rejected, 0) as bigint) as rejected,
    cast(coalesce(counted.near_duplicates, 0) as bigint) as near_duplicates,
    cast(coalesce(counted.unique_uploaders, 0) as bigint) as unique_uploaders,
    round(cast(counted.accepted as double) / nullif(counted.photos_in, 0), 6) as acceptance_rate,
    cast(coalesce(counted.photos_in_bytes, 0) as bigint) as photos_in_bytes,
    cast(coalesce(counted.accepted_bytes, 0) as bigint) as accepted_bytes,
    cast(coalesce(measured.measured, 0) as bigint) as measured,
    round(cast(measured.blurred_share as double), 6) as blurred_share,
    round(cast(measured.median_brightness as double), 3) as median_brightness
from {{ ref("calendar") }} as calendar
left join counted on counted.day = calendar.day
left join measured on measured.day = calendar.day
