"""The arrivals sensor: reports every day whose listing changed as a materialization of `landing`. It starts no run itself;
the conditions of the assets do, day by day, down to the marts."""

import json
from datetime import date, timedelta

import dagster as dg
import polars as pl

from shelf_assets.days import FIRST_DAY, days_between, today_utc
from shelf_assets.defs.landing_reports import NO_PHOTOS, is_reported, landing_report
from shelf_assets.defs.settings import DagsterSettings
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import day_prefix
from shelf_assets.lake.settings import LakeSettings


def build_arrivals_sensor(settings: DagsterSettings, lake_settings: LakeSettings) -> dg.SensorDefinition:
    @dg.sensor(
        name="arrivals",
        minimum_interval_seconds=settings.arrivals_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Lists the last {settings.arrivals_lookback_days} days' prefixes and reports each changed one, so that photos "
            "that arrive late re-open their day. A digest per day, not a last key: keys do not arrive in order."
        ),
    )
    def arrivals(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult | dg.SkipReason:
        seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        last = today_utc()
        first = max(FIRST_DAY, last - timedelta(days=settings.arrivals_lookback_days))
        found = {day: list_day(lake, lake_settings, day) for day in days_between(first, last)}
        reports = {day.isoformat(): landing_report(day, listing) for day, listing in found.items()}
        versions = {day: report.tags["dagster/data_version"] for day, report in reports.items() if report.tags}
        changed = [report for day, report in reports.items() if versions[day] != seen.get(day, NO_PHOTOS)]
        news = [report for report in changed if not is_reported(context.instance, report)]
        cursor = json.dumps({day: version for day, version in versions.items() if version != NO_PHOTOS})
        if not news:
            context.update_cursor(cursor)
            return dg.SkipReason(
                f"no day from {first} to {last} changed; {sum(listed.height for listed in found.values()):,} photos there"
            )
        return dg.SensorResult(asset_events=news, cursor=cursor)

    return arrivals


def list_day(lake: Lake, settings: LakeSettings, day: date) -> pl.DataFrame:
    """The day's objects (key, etag, size_bytes): by dagster-aws on S3, by the folder on disk."""
    if not settings.on_s3:
        return lake.listing(day).select("key", "etag", "size_bytes")
    from dagster_aws.s3.sensor import get_objects  # boto3: only where a bucket is listed

    bucket, _, root = settings.url.removeprefix("s3://").partition("/")
    prefix = f"{root}/{day_prefix(day)}" if root else day_prefix(day)
    listed = get_objects(bucket, prefix, client=s3_client(settings))
    rows = [(str(o["Key"]).removeprefix(f"{root}/"), str(o["ETag"]), int(o["Size"] or 0)) for o in listed]
    return pl.DataFrame(rows, {"key": pl.String, "etag": pl.String, "size_bytes": pl.Int64}, orient="row")


def s3_client(settings: LakeSettings):
    """dagster-aws's S3 client for the lake; without keys it asks for the pod's role."""
    from dagster_aws.s3 import S3Resource

    secret, token = settings.s3.secret_access_key, settings.s3.session_token
    return S3Resource(
        endpoint_url=settings.s3.endpoint_url,
        region_name=settings.s3.region,
        aws_access_key_id=settings.s3.access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
    ).get_client()
