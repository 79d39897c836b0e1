{#- Every rejected photo of a day has exactly one reason in daily_rejections. -#}
{{ config(meta={"dagster": {"ref": {"name": "daily_rejections"}}}) }}
with by_reason as (
    select day, sum(photos) as rejected
    from {{ ref("daily_rejections") }}
    group by day
)

select intake.day, intake.rejected, by_reason.rejected as rejected_by_reason
from {{ ref("daily_intake_quality") }} as intake
left join by_reason on by_reason.day = intake.day
where {{ in_window("intake.day") }}
    and intake.rejected != coalesce(by_reason.rejected, 0)
