"""The running API against its own OpenAPI: requests and answers are as documented, and every answer has its example."""

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

from shelf_assets.http import problems as http_problems
from shelf_assets.http.problem_answers import MEDIA_TYPE
from shelf_assets.http.problems import ProblemKind
from shelf_assets.intake import problems as upload_problems
from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.running_servers import RunningApi, on_disk, running

_DECLARED = (*vars(http_problems).values(), *vars(upload_problems).values(), *upload_problems.PHOTO_KINDS.values())
KINDS = {kind.reason: kind for kind in _DECLARED if isinstance(kind, ProblemKind)}
NO_LIMITS = {"SHELF_HTTP_KEY_REQUESTS": "1000000/minute", "SHELF_HTTP_ADDRESS_REQUESTS": "1000000/minute"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    folder = tmp_path_factory.mktemp("api")
    with running(on_disk(folder), folder, NO_LIMITS) as opened:
        yield opened


@pytest.fixture(scope="module")
def token(api: RunningApi) -> str:
    return api.token()


@pytest.fixture(scope="module")
def schema(api: RunningApi) -> Any:
    return schemathesis.openapi.from_url(f"{api.url}/openapi.json")


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
def test_every_response_matches_the_schema(
    schema: Any, token: str, method: str, path: str, mode: GenerationMode
) -> None:
    """Requests that OpenAPI describes and requests that it does not, with a key that has all scopes."""
    answered = 0

    @hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        nonlocal answered
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        answered += 1
        # A lake in a folder has no upload forms; no other server error is an answer.
        assert response.status_code < 500 or (response.status_code == 501 and path == "/v1/uploads")
        # No schema says which bytes are a photo.
        excluded = [not_a_server_error, *([positive_data_acceptance] if path == "/v1/images" else [])]
        case.validate_response(response, excluded_checks=excluded)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "OpenAPI describes no request at all"
        return
    assert answered > 0


@pytest.fixture(scope="module")
def document(api: RunningApi) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{api.url}/openapi.json", timeout=60).json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_response_has_an_example(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            assert response["description"], (method, path, status)
            for content in response["content"].values():
                assert has_example(content, document), (method, path, status)


def has_example(content: dict[str, Any], document: dict[str, Any]) -> bool:
    if content.get("examples") or content.get("example"):
        return True
    named = content["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][named]
    return all(
        part.get("examples") or "const" in part or "enum" in part or "$ref" in part
        for part in schema["properties"].values()
    )


def test_every_error_example_is_a_valid_problem(document: dict[str, Any]) -> None:
    problem = jsonschema_rs.validator_for(document["components"]["schemas"]["ProblemBody"])
    seen = set()
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            for reason, example in response["content"].get(MEDIA_TYPE, {}).get("examples", {}).items():
                problem.validate(example["value"])
                assert example["value"]["status"] == int(status) == KINDS[reason].http_status
                seen.add(reason)
    undocumented = {"hung_up", "not_found", "method_not_allowed", "refused_request", "internal"}
    undocumented |= {"no_owner", "unsupported_key", "gone"}
    assert seen == set(KINDS) - undocumented


def test_every_v1_route_requires_and_documents_a_key(document: dict[str, Any], api: RunningApi) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer" and schemes["header"]["name"] == "X-API-Key"
    for method, path, operation in operations(document):
        needs_key = path.startswith("/v1/")
        assert bool(operation.get("security")) == needs_key, path
        answer = httpx.request(method, api.url + path.replace("{image_id}", "a"), timeout=60)
        assert (answer.status_code == 401) == needs_key


def test_schema_names_exactly_the_served_routes(document: dict[str, Any], api: RunningApi, token: str) -> None:
    assert set(document["paths"]) == {
        *("/v1/images", "/v1/uploads", "/v1/images/{image_id}"),
        *("/healthz", "/readyz", "/metrics"),
    }
    assert httpx.get(f"{api.url}/docs", timeout=60).status_code == 200
    with api.client(token) as client:
        assert client.post("/v1/images", content=photo()).status_code == 201
