"""Webserver and daemon as `shelf dev` runs them, and methods for their GraphQL. No browser here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from shelf_assets.defs.instance import CODE_LOCATION, ensure_instance
from shelf_assets.settings import Settings
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.servers import free_ports

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "shelf_assets.definitions"}
# A single run takes one minute on an idle machine.
START_SECONDS, RUN_SECONDS = 300.0, 500.0

_ERRORS = "... on PythonError { message } "
_LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename " + _ERRORS
_INSTIGATORS = """query($selector: RepositorySelector!) { repositoryOrError(repositorySelector: $selector) {
  ... on Repository { sensors { name sensorState { id } } schedules { name scheduleState { id } } } } }"""
_STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename " + _ERRORS + "} }"
_START_SENSOR = """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename
  ... on PythonError { message } } }"""
_TICKS = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { sensorState { ticks(limit: 5) { status } } } ... on Error { message } } }"""
_STOP_SCHEDULE = "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename " + _ERRORS + "} }"
_LAUNCH = (
    "mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) { __typename "
    "... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"
)
_BACKFILL = (
    "mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename "
    "... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }"
)
_RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } ... on Error { message } } }"
_BACKFILL_STATE = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } } ... on Error { message } } }"""
_ASSETS = "{ assetNodes { assetKey { path } isMaterializable } }"
_PARTITIONS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } } } } }"""


@dataclass(frozen=True)
class DagsterUi:
    """A client of a running webserver that sends the requests of the UI."""

    url: str
    logs: Path

    def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Send a GraphQL query or mutation; returns its data."""
        body = json.dumps({"query": document, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def assets(self) -> list[str]:
        """The assets that the button "Materialize all" selects."""
        return [node["assetKey"]["path"][-1] for node in self.ask(_ASSETS)["assetNodes"] if node["isMaterializable"]]

    def launch(self, assets: Sequence[str], day: date) -> str:
        """Materialize one day, as the button does; returns the run's id."""
        params = {
            "selector": REPOSITORY | {"jobName": "__ASSET_JOB", "assetSelection": _keys(assets)},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day.isoformat()}]},
        }
        launched = self.ask(_LAUNCH, params=params)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def backfill(self, assets: Sequence[str], days: Sequence[date]) -> str:
        """Materialize several days, as the button does; returns the backfill's id."""
        params = {"assetSelection": _keys(assets), "partitionNames": [day.isoformat() for day in days]}
        launched = self.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def wait_for_run(self, run_id: str) -> None:
        self._wait_for_success(f"run {run_id}", lambda: self.ask(_RUN, id=run_id)["runOrError"])

    def wait_for_backfill(self, backfill_id: str) -> None:
        """Wait until every run of the backfill has succeeded and the daemon has seen it."""
        self._wait_for_success(
            f"backfill {backfill_id}", lambda: self.ask(_BACKFILL_STATE, id=backfill_id)["partitionBackfillOrError"]
        )

    def materialized(self, asset: str) -> list[tuple[str, str]]:
        """First and last day of each materialized range."""
        node = self.ask(_PARTITIONS, key={"path": [asset]})["assetNodeOrError"]
        ranges = node["assetPartitionStatuses"]["ranges"]
        return [(each["startKey"], each["endKey"]) for each in ranges if each["status"] == "MATERIALIZED"]

    def stop_automation(self) -> None:
        """Stop automation, so that only the runs of the tests start. The arrivals sensor keeps running: it starts no run."""
        instigators = self.ask(_INSTIGATORS, selector=REPOSITORY)["repositoryOrError"]
        (automation,) = (each for each in instigators["sensors"] if each["name"] == "automation")
        stopped = self.ask(_STOP_SENSOR, id=automation["sensorState"]["id"])["stopSensor"]
        assert stopped["__typename"] == "StopSensorMutationResult", stopped
        for schedule in instigators["schedules"]:
            stopped = self.ask(_STOP_SCHEDULE, id=schedule["scheduleState"]["id"])["stopRunningSchedule"]
            assert stopped["__typename"] == "ScheduleStateResult", stopped

    def start_automation(self) -> None:
        """Start automation as in a deployment. Returns after the first tick, which records the current state
        and requests nothing.
        """
        selector = REPOSITORY | {"sensorName": "automation"}
        started = self.ask(_START_SENSOR, selector=selector)["startSensor"]
        assert started["__typename"] == "Sensor", started

        def ticked() -> bool:
            ticks = self.ask(_TICKS, selector=selector)["sensorOrError"]["sensorState"]["ticks"]
            return any(tick["status"] in ("SUCCESS", "SKIPPED") for tick in ticks)

        wait_until("the first tick of automation", ticked, 120, lambda: self._story("automation", {}))

    def _wait_for_success(self, what: str, look: Callable[[], dict[str, Any]]) -> None:
        def ended() -> bool:
            state = look()
            assert state.get("status") not in ("FAILURE", "CANCELED", "FAILED", "COMPLETED_FAILED"), self._story(
                what, state
            )
            return state.get("status") in ("SUCCESS", "COMPLETED_SUCCESS")

        wait_until(what, ended, RUN_SECONDS, lambda: self._story(what, look()))

    def _story(self, what: str, state: dict[str, Any]) -> str:
        tails = [f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.logs.glob("*.log"))]
        return "\n".join([f"{what}: {state}", *tails])


@contextmanager
def dagster_ui(settings: Settings, logs: Path) -> Iterator[DagsterUi]:
    """Webserver and daemon on this instance, automation stopped before the daemon sees it; both are stopped by pid."""
    environment = settings.child_environment() | {"DAGSTER_HOME": str(ensure_instance(settings))}
    logs.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    ui = DagsterUi(f"http://127.0.0.1:{port}", logs)
    processes = [_start("dagster-webserver", "-h", "127.0.0.1", "-p", str(port), logs=logs, environment=environment)]
    try:
        wait_until("the webserver", lambda: _loaded(ui), START_SECONDS, lambda: ui._story("the webserver", {}))
        ui.stop_automation()
        processes.append(_start("dagster-daemon", "run", logs=logs, environment=environment))
        yield ui
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(what: str, happened: Callable[[], bool], seconds: float, story: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s\n{story()}")
        time.sleep(1)


def _start(program: str, *arguments: str, logs: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / program), *arguments, *CODE_LOCATION]
    with (logs / f"{program}.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, cwd=repo_root, stdout=log, stderr=subprocess.STDOUT)


def _loaded(ui: DagsterUi) -> bool:
    """Whether the webserver answers and has loaded the code location. Fails if the code location cannot be loaded."""
    try:
        workspace = ui.ask(_LOCATIONS + "} } } } }")["workspaceOrError"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    entries = [entry["locationOrLoadError"] for entry in workspace["locationEntries"]]
    for entry in entries:
        assert entry is None or entry["__typename"] != "PythonError", entry
    return bool(entries) and all(entries)


def _keys(assets: Sequence[str]) -> list[dict[str, list[str]]]:
    return [{"path": [asset]} for asset in assets]
