with rejected as (
    select
        day,
        reason,
        count(*) as photos,
        sum(size_bytes) as photos_bytes
    from {{ ref("stg_raw_images") }}
    where status = 'rejected'
    group by day, reason
),

arrived as (
    select day, count(*) as photos_in
    from {{ ref("stg_raw_images") }}
    group by day
)

select
    rejected.day,
    rejected.reason,
    cast(rejected.photos as bigint) as photos,
    round(cast(rejected.photos as double) / arrived.photos_in, 6) as share_of_photos_in,
    cast(rejected.photos_bytes as bigint) as photos_bytes
from rejected
inner join arrived on arrived.day = rejected.day
