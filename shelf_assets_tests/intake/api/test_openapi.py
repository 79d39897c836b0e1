"""The running door against its own OpenAPI: what is sent by it is answered by it, and every answer has its example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error, positive_data_acceptance

from shelf_assets.http.problems import KINDS, MEDIA_TYPE
from shelf_assets_tests.intake.api.doors import Door, on_disk, running
from shelf_assets_tests.intake.api.senders import photo

NO_LIMITS = {"SHELF_HTTP_KEY_REQUESTS": "1000000/minute", "SHELF_HTTP_ADDRESS_REQUESTS": "1000000/minute"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    with running(on_disk(folder), folder, NO_LIMITS) as opened:
        yield opened


@pytest.fixture(scope="module")
def token(door: Door) -> str:
    return door.token()


@pytest.fixture(scope="module")
def schema(door: Door) -> Any:
    return schemathesis.openapi.from_url(f"{door.url}/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/images"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/images/{image_id}"),
        ("DELETE", "/v1/images/{image_id}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    ],
)
def test_an_answer_is_not_as_it_says(schema: Any, token: str, method: str, path: str, mode: GenerationMode) -> None:
    """Requests as OpenAPI describes them, and such as it does not, with a key that may do all."""
    answered = 0

    @hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        nonlocal answered
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        answered += 1
        # A lake in a folder has no forms, and says so; no other error of the server's own is an answer.
        assert response.status_code < 500 or (response.status_code == 501 and path == "/v1/uploads")
        # Which bytes are a photo no schema says.
        excluded = [not_a_server_error, *([positive_data_acceptance] if path == "/v1/images" else [])]
        case.validate_response(response, excluded_checks=excluded)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "OpenAPI describes no request at all"
        return
    assert answered > 0


@pytest.fixture(scope="module")
def told(door: Door) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{door.url}/openapi.json", timeout=60).json()
    return document


def operations(told: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_an_answer_has_no_example(told: dict[str, Any]) -> None:
    for method, path, operation in operations(told):
        for status, response in operation["responses"].items():
            assert response["description"], (method, path, status)
            for content in response["content"].values():
                assert has_example(content, told), (method, path, status)


def has_example(content: dict[str, Any], told: dict[str, Any]) -> bool:
    if content.get("examples") or content.get("example"):
        return True
    named = content["schema"]["$ref"].rpartition("/")[2]
    schema = told["components"]["schemas"][named]
    return all(
        part.get("examples") or "const" in part or "enum" in part or "$ref" in part
        for part in schema["properties"].values()
    )


def test_an_example_of_an_error_is_not_one(told: dict[str, Any]) -> None:
    problem = jsonschema_rs.validator_for(told["components"]["schemas"]["ProblemBody"])
    seen = set()
    for _, _, operation in operations(told):
        for status, response in operation["responses"].items():
            for reason, example in response["content"].get(MEDIA_TYPE, {}).get("examples", {}).items():
                problem.validate(example["value"])
                assert example["value"]["status"] == int(status) == KINDS[reason].http_status
                seen.add(reason)
    undocumented = {"hung_up", "not_found", "method_not_allowed", "refused_request", "internal"}
    undocumented |= {"no_owner", "unsupported_key", "gone"}
    assert seen == set(KINDS) - undocumented


def test_a_route_asks_for_no_key_or_says_nothing_of_it(told: dict[str, Any], door: Door) -> None:
    schemes = told["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer" and schemes["header"]["name"] == "X-API-Key"
    for method, path, operation in operations(told):
        needs_key = path.startswith("/v1/")
        assert bool(operation.get("security")) == needs_key, path
        answer = httpx.request(method, door.url + path.replace("{image_id}", "a"), timeout=60)
        assert (answer.status_code == 401) == needs_key


def test_the_documents_name_no_route_that_is_there(told: dict[str, Any], door: Door, token: str) -> None:
    assert set(told["paths"]) == {
        *("/v1/images", "/v1/uploads", "/v1/images/{image_id}"),
        *("/healthz", "/readyz", "/metrics"),
    }
    assert httpx.get(f"{door.url}/docs", timeout=60).status_code == 200
    with door.client(token) as client:
        assert client.post("/v1/images", content=photo()).status_code == 201
