"""A tiny app on the same piece as the upload API; as a command it serves itself until SIGTERM. No test here."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI

from shelf_assets.http.app import build_app
from shelf_assets.http.auth import ACCESS_KINDS, Caller, Requires
from shelf_assets.http.problem_answers import documented
from shelf_assets.http.problems import Problem, ProblemKind
from shelf_assets.http.server import open_socket, serve
from shelf_assets.http.settings import HttpSettings
from shelf_assets.http.state import http_state
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import ObjectStore

SHELF_IS_FULL = ProblemKind("shelf_is_full", 409, "The shelf is full.")


class ShelfIsFull(Exception):
    """An exception of this app."""


@dataclass
class Shelf:
    """The app's own state."""

    is_open: bool = True
    began: bool = False
    ended: bool = False
    labels: list[str] = field(default_factory=list)


def shelf_app(store: ObjectStore, shelf: Shelf, settings: HttpSettings) -> FastAPI:
    """GET /hello is public, POST /labels/{label} needs the scope `upload`; a fourth label is refused."""
    router = APIRouter()

    @router.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "shopper"}

    @router.post("/labels/{label}", status_code=201, responses=documented(*ACCESS_KINDS, SHELF_IS_FULL))
    async def add_label(label: str, caller: Annotated[Caller, Depends(Requires("upload"))]) -> dict[str, str]:
        if label == "bomb":
            raise RuntimeError("words that a sender wrote")
        if label == "storm":
            raise StoreUnavailable("writing door/claims/ada/1 in s3://secret-bucket failed")
        if len(shelf.labels) == 3:
            raise ShelfIsFull
        shelf.labels.append(label)
        return {"owner": caller.key.owner}

    @router.put("/labels")
    async def replace_labels() -> None:
        raise Problem(SHELF_IS_FULL, "it is never replaced")

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        shelf.began = True
        yield
        shelf.ended = True

    async def is_shelf_open() -> bool:
        return shelf.is_open

    return build_app(
        "labels",
        "Labels on a shelf.",
        [router],
        http_state(settings, store),
        errors={ShelfIsFull: lambda _: Problem(SHELF_IS_FULL, "it holds three labels")},
        readiness_checks={"shelf": is_shelf_open},
        lifespan=lifespan,
    )


def main(lake_url: str) -> None:
    """Serve the app on a free port, which is printed."""
    listening = open_socket("127.0.0.1", 0)
    print(listening.getsockname()[1], flush=True)
    settings = HttpSettings(silence_seconds=1)
    serve(shelf_app(ObjectStore(lake_url), Shelf(), settings), settings, listening)


if __name__ == "__main__":
    main(sys.argv[1])
