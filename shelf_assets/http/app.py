"""Put an app together: its routes, problem answers, middleware, health routes and OpenAPI. Serving it belongs in `server`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool

from shelf_assets.http.access_log import AccessLogMiddleware
from shelf_assets.http.drain_body import DrainBodyMiddleware
from shelf_assets.http.health import health_router
from shelf_assets.http.logs import request_log
from shelf_assets.http.problem_answers import ErrorProblems, ProblemBody, handle_problems
from shelf_assets.http.rate_limits import RateLimitsUnavailable
from shelf_assets.http.readiness import Readiness, ReadinessCheck
from shelf_assets.http.state import HttpState
from shelf_assets.lake.errors import StoreUnavailable

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def build_app(
    name: str,
    description: str,
    routers: Sequence[APIRouter],
    state: HttpState,
    *,
    errors: ErrorProblems | None = None,
    readiness_checks: Mapping[str, ReadinessCheck] | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """An ASGI app of some routers, with all that every server of the project has.

    `errors` are the problems of the rooms' own exceptions. `readiness_checks` are those beside the store and the rate
    limits. `lifespan` surrounds the time in which the app serves.
    """
    app = FastAPI(
        title=f"shelf_assets: {name}",
        version=version("shelf-assets"),
        description=description,
        lifespan=_lifespan(state, lifespan),
        redoc_url=None,
        # A redirect would be built from the Host header that the client sends.
        redirect_slashes=False,
    )
    app.state.http = state
    readiness = Readiness(_core_checks(state) | dict(readiness_checks or {}))
    for router in (*routers, health_router(readiness, state.metrics)):
        app.include_router(router)
    handle_problems(app, errors or {})
    app.add_middleware(AccessLogMiddleware, metrics=state.metrics, log=request_log())
    app.add_middleware(DrainBodyMiddleware)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _core_checks(state: HttpState) -> dict[str, ReadinessCheck]:
    async def is_store_available() -> bool:
        try:
            await run_in_threadpool(state.keys.ping)
        except StoreUnavailable:
            return False
        return True

    async def are_limits_available() -> bool:
        try:
            await state.rate_limits.ping()
        except RateLimitsUnavailable:
            return False
        return True

    return {"store": is_store_available, "rate limits": are_limits_available}


def _lifespan(state: HttpState, inner: Lifespan | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        try:
            if inner is None:
                yield
            else:
                async with inner():
                    yield
        finally:
            await state.rate_limits.aclose()

    return running


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        # Added by hand: as a model of the error answers it would be documented as application/json.
        problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.setdefault("components", {}).setdefault("schemas", {})["ProblemBody"] = problem
        app.openapi_schema = schema
    return app.openapi_schema
