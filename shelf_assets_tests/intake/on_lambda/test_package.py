"""Deployment to Lambda: imports, package and template. The handling of events is tested in the other modules here."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from shelf_assets.http.keys import Keys
from shelf_assets.intake import lambda_function
from shelf_assets.intake import photo_states as states
from shelf_assets.intake.upload_store import ERASURES, INCOMING, UploadStore, new_image_id, photo_key
from shelf_assets.photos.decoder_pool import InProcessSanitizer
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto
from shelf_assets_tests.conftest import LakeUnderTest, repo_root
from shelf_assets_tests.faulty_proxy import Faults, faulty_proxy
from shelf_assets_tests.intake.on_lambda.conftest import Deploy
from shelf_assets_tests.intake.on_lambda.events import EVENTS, Context, created, http_event, rest_event
from shelf_assets_tests.servers import S3Server
from shelf_assets_tests.vision.pictures import from_a_camera

FOLDER = repo_root / "serverless"
BUCKET, PREFIX = "photos", "lake/"
# Messages of uv on a machine without a network.
UNREACHABLE = ("error sending request", "Failed to fetch", "dns error", "network connectivity is disabled")
# 130 to 470 MB which the upload API does not need; Lambda's runtime contains boto3.
UNWANTED = ["torch", "dagster", "mlflow", "polars", "deltalake", "pyarrow", "pandas", "duckdb", "dbt"]
IMPORTED = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""
SERVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from shelf_assets.intake.lambda_function import handler
answers = [handler(event, None) for event in json.loads(sys.argv[2])]
print(json.dumps([answers, sorted({module.split(".")[0] for module in sys.modules})]))
"""


@pytest.mark.parametrize(
    "modules",
    [
        ["shelf_assets.intake.lambda_function"],
        ["shelf_assets.intake.lambda_function", "shelf_assets.intake.app", "mangum"],
    ],
)
def test_lambda_function_imports_no_heavy_library(modules: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, json.dumps(modules)],
        cwd=repo_root,
        env=os.environ | {"SHELF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not set(UNWANTED) & set(json.loads(done.stdout.splitlines()[-1]))


def skip_if_unreachable(error: str) -> None:
    if any(word in error for word in UNREACHABLE):
        pytest.skip("no package index answers")


@pytest.mark.slow
def test_lambda_package_fits_the_size_limits(tmp_path: Path) -> None:
    command = [sys.executable, FOLDER / "package.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    if done.returncode:
        skip_if_unreachable(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    unzipped_bytes = sum(path.stat().st_size for path in (tmp_path / "package").rglob("*") if path.is_file())
    zipped_bytes = (tmp_path / "upload-api.zip").stat().st_size
    assert unzipped_bytes < 250 << 20
    assert zipped_bytes < 50 << 20, (
        "it must now be uploaded through a bucket: change serverless/ before raising this limit"
    )


@pytest.mark.slow
@pytest.mark.s3
def test_lambda_package_serves_every_event_by_itself(tmp_path: Path, s3_lake: LakeUnderTest) -> None:
    """The process sees only the package: neither this environment's packages nor this repository."""
    package, script = tmp_path / "package", runpy.run_path(str(FOLDER / "package.py"))
    try:  # wheels of this Python, and no archive: compressing it takes longer than the test
        script["fill"](
            package, Path(sys.executable).with_name("uv"), f"{sys.version_info.major}.{sys.version_info.minor}"
        )
    except script["NotFetched"] as error:
        skip_if_unreachable(str(error))
        raise
    store = s3_lake.lake.objects
    uploads, image_id = UploadStore(store), new_image_id(datetime.now(UTC))
    uploads.object_writer.put(f"{INCOMING}/{image_id}", from_a_camera(), {"owner": "ab" * 16})
    _, token = Keys(store).create("shop", ["upload", "read"], datetime.now(UTC))
    taken = http_event("POST", "/v1/images", token, from_a_camera("blue"), "image/jpeg")
    events = [created(s3_lake.url, image_id), taken, rest_event("GET", f"/v1/images/{image_id}", token)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SERVE, package, json.dumps(events)],
        cwd=tmp_path,
        env=s3_lake.environment | {"SHELF_INTAKE_OWNER_HASH_KEY": "0123456789abcdef"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers, modules = json.loads(done.stdout.splitlines()[-1])
    assert uploads.object_writer.store.exists(photo_key(image_id))
    assert [answer and answer["statusCode"] for answer in answers] == [None, 201, 404]
    assert not set(UNWANTED) & set(modules)


def test_too_large_lambda_package_is_refused() -> None:
    script = runpy.run_path(str(FOLDER / "package.py"))
    script["require_fit"](250 << 20)
    with pytest.raises(script["TooLarge"], match="262,144,001 bytes"):
        script["require_fit"]((250 << 20) + 1)


def test_lambda_requirements_use_the_project_pins() -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[\w.]+", path.read_text(), re.MULTILINE))

    ours = pins(FOLDER / "requirements.txt")
    assert {"mangum", "obstore", "pillow-heif"} <= {pin.partition("==")[0] for pin in ours}
    assert ours <= pins(repo_root / "requirements" / "all.txt"), "make lock"
    assert "://" not in (FOLDER / "requirements.txt").read_text()


class _Template(yaml.SafeLoader):
    """Loads a template: resolves CloudFormation's short forms, with a bucket and a prefix."""


def _sub(loader: yaml.SafeLoader, node: Any) -> str:
    text = loader.construct_scalar(node)
    return text.replace("${LakeBucket}", BUCKET).replace("${LakePrefix}", PREFIX).replace("${AWS::Partition}", "aws")


def _other(loader: Any, tag: str, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    return {tag: loader.construct_sequence(node, deep=True)}


_Template.add_constructor("!Sub", _sub)
_Template.add_multi_constructor("!", _other)


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return yaml.load((FOLDER / "template.yaml").read_text(), _Template)["Resources"]


def allows(function: dict[str, Any], action: str, key: str | None = None) -> bool:
    """Whether the function's own policy allows this action on an object, or on the bucket."""
    resource = f"arn:aws:s3:::{BUCKET}" + ("" if key is None else f"/{PREFIX}{key}")
    return any(
        fnmatchcase(action, pattern) and fnmatchcase(resource, place)
        for policy in function["Properties"]["Policies"]
        for statement in policy["Statement"]
        for pattern in _listed(statement["Action"])
        for place in _listed(statement["Resource"])
        if statement["Effect"] == "Allow"
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


FUNCTIONS = ["UploadApi", "UploadValidator"]
WITHHELD = [
    "tables/raw_images/day=2026-11-24/part-0.parquet",
    "tables/raw_images/_delta_log/0.json",
    "tensors/a/b.arrow",
]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("key", [*WITHHELD, "models/int8.bin", "anything"])
def test_lambda_role_cannot_access_tables_tensors_or_models(resources: dict[str, Any], name: str, key: str) -> None:
    touching = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion")
    assert not [action for action in touching if allows(resources[name], action, key)]


@pytest.mark.parametrize(
    ("name", "action", "key"),
    [
        ("UploadApi", "s3:PutObject", "door/keys/0123456789abcdef.json"),
        ("UploadApi", "s3:PutObject", "quarantine/2026/11/24/a"),
        ("UploadApi", "s3:DeleteObject", "images/2026/11/24/a"),
        ("UploadApi", "s3:DeleteObject", "door/erasures/a.json"),
        ("UploadValidator", "s3:GetObject", "door/keys/0123456789abcdef.json"),
        ("UploadValidator", "s3:DeleteObject", "door/erasures/a.json"),
        ("UploadValidator", "s3:PutObject", "incoming/a"),
        ("UploadValidator", "s3:DeleteObject", "images/2026/11/24/a"),
        ("UploadValidator", "s3:DeleteObject", "door/claims/a/b"),
    ],
)
def test_lambda_role_cannot_do_the_work_of_another(resources: dict[str, Any], name: str, action: str, key: str) -> None:
    assert not allows(resources[name], action, key)


def actions_in(lake_url: str, requests: list[tuple[str, str]]) -> Iterator[tuple[str, str | None]]:
    """Actions and keys that AWS checks against a policy for these requests; the key is None for the bucket itself."""
    lake = urlsplit(lake_url)
    root, prefix = f"/{lake.netloc}", f"/{lake.netloc}/{lake.path.strip('/')}/"
    for method, target in requests:
        path, _, query = target.partition("?")
        key = unquote(path)
        if method == "POST" and "delete" in parse_qs(query, keep_blank_values=True):
            yield "s3:DeleteObject", f"{INCOMING}/any"  # its body holds the keys; only uploads are deleted
        elif key.rstrip("/") == root:
            yield "s3:ListBucket", None
        else:
            assert key.startswith(prefix), key
            names = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
            yield names[method], key.removeprefix(prefix)


@pytest.fixture
def store_requests(s3_lake: LakeUnderTest, s3_server: S3Server, deploy: Deploy) -> Iterator[list[tuple[str, str]]]:
    """Every request that the function sends to the store."""
    requests: list[tuple[str, str]] = []
    with faulty_proxy(
        s3_server.endpoint_url, Faults({}, only=lambda *request: requests.append(request) or False)
    ) as url:
        deploy(lake__s3__endpoint_url=url)
        yield requests


@pytest.mark.s3
def test_validator_role_allows_every_request_it_makes(
    resources: dict[str, Any],
    s3_lake: LakeUnderTest,
    store_requests: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The endings accepted, refused, same, erased, repeated and gone: the template allows every request to the store."""
    uploads = UploadStore(s3_lake.lake.objects)
    sanitize = InProcessSanitizer.sanitize

    async def erased_meanwhile(self: InProcessSanitizer, data: bytes) -> SanitizedPhoto | Refusal:
        if data == from_a_camera() and uploads.object_writer.store.exists(photo_key(image_ids[0])):
            uploads.ask_erasure(image_ids[2], "ab" * 16, datetime.now(UTC))
        return await sanitize(self, data)

    monkeypatch.setattr(InProcessSanitizer, "sanitize", erased_meanwhile)
    image_ids = [new_image_id(datetime.now(UTC)) for _ in range(4)]
    for image_id, data in zip(image_ids, (from_a_camera(), b"text", from_a_camera()), strict=False):
        uploads.object_writer.put(f"{INCOMING}/{image_id}", data, {"owner": "ab" * 16})
    lambda_function.handler(created(s3_lake.url, *image_ids, *image_ids), Context())
    assert uploads.erasure_of(image_ids[0]) is not None
    needed = set(actions_in(s3_lake.url, store_requests))
    assert ("s3:PutObject", f"{ERASURES}/{image_ids[0]}.json") in needed
    assert {action for action, _ in needed} >= {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert not [need for need in needed if not allows(resources["UploadValidator"], *need)]


@EVENTS
@pytest.mark.s3
def test_http_role_allows_every_request_it_makes(
    resources: dict[str, Any],
    s3_lake: LakeUnderTest,
    store_requests: list[tuple[str, str]],
    event: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A photo, the same photo again, forms and their signer's permissions, states, an erasure, another owner."""
    monkeypatch.setattr(states, "find_spec", lambda name: None)  # the package has neither polars nor delta-rs
    _, token = Keys(s3_lake.lake.objects).create("shop", ["upload", "read", "erase"], datetime.now(UTC))

    def answer_to(*request: Any) -> dict[str, Any]:
        answer = lambda_function.handler(event(*request), Context())
        assert answer is not None and answer["statusCode"] < 500, answer
        return json.loads(answer["body"])

    taken = answer_to("POST", "/v1/images", token, from_a_camera(), "image/jpeg")["image_id"]
    answer_to("POST", "/v1/images", token, from_a_camera(), "image/jpeg")
    form = answer_to("POST", "/v1/uploads", token)
    for image_id in (taken, form["image_id"]):
        answer_to("GET", f"/v1/images/{image_id}", token)
    answer_to("DELETE", f"/v1/images/{taken}", token)
    answer_to("GET", f"/v1/images/{taken}", "shelf_0123456789abcdef_" + "a" * 43)
    needed = set(actions_in(s3_lake.url, store_requests)) | {("s3:PutObject", f"{INCOMING}/{form['image_id']}")}
    assert not [need for need in needed if not allows(resources["UploadApi"], *need)]


def test_bucket_triggers_validation_and_expires_uploads(resources: dict[str, Any]) -> None:
    [event] = resources["UploadValidator"]["Properties"]["Events"].values()
    [rule] = event["Properties"]["Filter"]["S3Key"]["Rules"]
    assert rule == {"Name": "prefix", "Value": f"{PREFIX}{INCOMING}/"}
    rules = resources["Lake"]["Properties"]["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert days == {f"{PREFIX}incoming/": 1, f"{PREFIX}quarantine/": 7}


def test_template_names_existing_handler_and_settings() -> None:
    template = yaml.load((FOLDER / "template.yaml").read_text(), _Template)
    function = template["Globals"]["Function"]
    module, _, name = function["Handler"].rpartition(".")
    assert getattr(sys.modules[module], name) is lambda_function.handler
    from shelf_assets.settings import leaves

    assert set(function["Environment"]["Variables"]) <= {leaf.variable for leaf in leaves()}
