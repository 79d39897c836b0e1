"""The Dagster instance of this machine: its home folder and dagster.yaml. Clusters bring their own by Helm."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import yaml

from shelf_assets.settings import Settings


def instance_config(settings: Settings) -> dict[str, object]:
    """dagster.yaml of an embedded instance: SQLite, queued runs, pools, no telemetry, compute logs beside the lake."""
    config: dict[str, object] = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "storage": {"sqlite": {"base_dir": str(settings.dagster.home / "storage")}},
        "concurrency": {
            "runs": {"max_concurrent_runs": 2},
            # Granularity op: a run waits for a slot only while the step that needs it runs. Limit 1: a DuckDB file has one
            # writer, and this machine has one device.
            "pools": {"granularity": "op", "default_limit": 1},
        },
        # If the code server is not up by then, the daemon drops every queued run. The default is 180.
        "code_servers": {"local_startup_timeout": 600},
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": 300,
            # By default, a killed run would keep its pool slot for ever.
            "free_slots_after_run_end_seconds": 60,
        },
        # A run whose pod or process died is run again; failed steps are left to people.
        "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
        "freshness": {"enabled": True},
    }
    if settings.lake.on_s3:
        bucket, _, prefix = settings.lake.url.removeprefix("s3://").partition("/")
        config["compute_logs"] = {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": "S3ComputeLogManager",
            "config": {
                "bucket": bucket,
                "prefix": f"{prefix}/compute-logs".lstrip("/"),
                "local_dir": str(settings.dagster.home / "compute-logs"),
                "region": settings.lake.s3.region,
                "skip_empty_files": True,
                # With an interval, logs are readable while a step runs, and the log of a killed step is kept.
                "upload_interval": 30,
                **({"endpoint_url": settings.lake.s3.endpoint_url} if settings.lake.s3.endpoint_url else {}),
            },
        }
    return config


def ensure_instance(settings: Settings) -> Path:
    """Make the instance's home and write its dagster.yaml. A home that DAGSTER_HOME names is not changed."""
    home = settings.dagster.home
    if home == settings.home / "dagster":
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_text(yaml.safe_dump(instance_config(settings), sort_keys=False))
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance of this machine, created if it does not exist. Use it as a context manager."""
    return dg.DagsterInstance.from_config(str(ensure_instance(settings)))


# The code location by its module, because an installed package has no workspace.yaml.
CODE_LOCATION = ("-m", "shelf_assets.definitions")


def serve_ui(settings: Settings, port: int) -> int:
    """Run webserver and daemon until one ends or a signal comes; returns the exit code."""
    environment = settings.child_environment() | {"DAGSTER_HOME": str(ensure_instance(settings))}
    beside = Path(sys.executable).parent
    commands = [
        [str(beside / "dagster-webserver"), *CODE_LOCATION, "-h", "127.0.0.1", "-p", str(port)],
        [str(beside / "dagster-daemon"), "run", *CODE_LOCATION],
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    children = [subprocess.Popen(command, env=environment) for command in commands]
    try:
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
        return next(child.returncode for child in children if child.returncode is not None)
    except KeyboardInterrupt:
        return 0
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
