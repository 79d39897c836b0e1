"""The arrivals sensor: reports every day whose listing changed as a materialization of `landing`. It starts no run itself;
the conditions of the assets do, day by day, down to the marts."""

import json
from datetime import date, timedelta

import dagster as dg

from shelf_assets.days import FIRST_DAY, days_between, today_utc
from shelf_assets.defs.landing_reports import NO_PHOTOS, Listing, is_reported, landing_report
from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.lake.object_store import day_prefix
from shelf_assets.settings import Settings


def build_arrivals_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="arrivals",
        minimum_interval_seconds=settings.dagster.arrivals_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Lists the last {settings.dagster.arrivals_lookback_days} days' prefixes and reports each changed one, so that photos "
            "that arrive late re-open their day. A digest per day, not a last key: keys do not arrive in order."
        ),
    )
    def arrivals(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        last = today_utc()
        first = max(FIRST_DAY, last - timedelta(days=settings.dagster.arrivals_lookback_days))
        found = {day: list_day(lake, day) for day in days_between(first, last)}
        reports = {day.isoformat(): landing_report(day, listing) for day, listing in found.items()}
        versions = {day: report.tags["dagster/data_version"] for day, report in reports.items() if report.tags}
        changed = [report for day, report in reports.items() if versions[day] != seen.get(day, NO_PHOTOS)]
        news = [report for report in changed if not is_reported(context.instance, report)]
        cursor = json.dumps({day: version for day, version in versions.items() if version != NO_PHOTOS})
        if not news:
            context.update_cursor(cursor)
            return dg.SkipReason(
                f"no day from {first} to {last} changed; {sum(map(len, found.values())):,} photos there"
            )
        return dg.SensorResult(asset_events=news, cursor=cursor)

    return arrivals


def list_day(lake: LakeResource, day: date) -> Listing:
    """The day's objects: by dagster-aws on S3, by the folder on disk."""
    if not lake.settings.lake.on_s3:
        return [(o.key, o.etag, o.size_bytes) for o in lake.lake.objects.list(day_prefix(day))]
    from dagster_aws.s3.sensor import get_objects  # boto3: only where a bucket is listed

    bucket, _, root = lake.settings.lake.url.removeprefix("s3://").partition("/")
    prefix = f"{root}/{day_prefix(day)}" if root else day_prefix(day)
    listed = get_objects(bucket, prefix, client=s3_client(lake.settings))
    return [(str(o["Key"]).removeprefix(f"{root}/"), str(o["ETag"]), int(o["Size"] or 0)) for o in listed]


def s3_client(settings: Settings):
    """dagster-aws's S3 client for the lake; without keys it asks for the pod's role."""
    from dagster_aws.s3 import S3Resource

    secret, token = settings.lake.s3.secret_access_key, settings.lake.s3.session_token
    return S3Resource(
        endpoint_url=settings.lake.s3.endpoint_url,
        region_name=settings.lake.s3.region,
        aws_access_key_id=settings.lake.s3.access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
    ).get_client()
