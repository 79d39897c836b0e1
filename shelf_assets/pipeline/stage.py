"""The declaration of a stage: its table, price, checks and descriptions. The list of stages is in `registry`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from shelf_assets.lake.lake import Lake
    from shelf_assets.lake.schemas import TableSpec
    from shelf_assets.pipeline.models import PredictionModels

Facts = dict[str, object]


@dataclass(frozen=True)
class DayView:
    """One day of the lake, for checks."""

    lake: Lake
    day: date

    def rows(self, table: str) -> pl.LazyFrame:
        return self.lake.table(table).scan(self.day, self.day)


@dataclass(frozen=True)
class Answer:
    """The result of a check. `description` names the error for people; it is empty if the check passed."""

    passed: bool
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageCheck:
    """A check of a day's content. If a blocking check fails, downstream stages do not run; other checks only warn.

    Declared with the stage. Every stage is also checked for rows that fit the schema, and for a row of every photo.
    """

    name: str
    description: str
    ask: Callable[[DayView], Answer]
    is_blocking: bool


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a day. Its table has its name; a stage without one writes files."""

    name: str
    group: str
    table: TableSpec | None = None
    eur_per_hour: float = 0.05
    """Price of one hour of its machine where the settings give none. 0.05: two shared cores on demand."""
    assumed_images_per_second: float | None = None
    """Speed before any was measured; None for a stage whose speed is that of the run's models."""
    checks: tuple[StageCheck, ...] = ()
    code_version: str = "1"


class MethodIdentity(Protocol):
    """Identifies the method by which rows were made. A `ModelSpec` is one."""

    @property
    def model_id(self) -> str: ...
    @property
    def model_digest(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def precision(self) -> str: ...


class Predictor(Protocol):
    """A method that makes one row per photo from its pixels. Its identity is available without loading a model."""

    @property
    def asset(self) -> str:
        """Name of the stage."""

    @property
    def spec(self) -> MethodIdentity: ...
    @property
    def preprocess_digest(self) -> str: ...
    @property
    def device(self) -> str: ...

    @property
    def batch_images(self) -> int | None:
        """Photos in a batch; None if any number is suitable."""

    @property
    def is_single_threaded(self) -> bool:
        """Whether all of its work is done on the thread that calls `submit`."""

    def submit(self, pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        """Start a batch of pixels (uint8, N × 3 × H × W); the returned function waits for the columns of their N rows."""

    def close(self) -> None: ...

    def facts(self) -> Facts:
        """Metadata of the method."""


# A photo's tensor has 150 kB, so a batch has ten megabytes.
_BATCH_IMAGES = 64


def shared_batch_images(predictors: list[Predictor]) -> int:
    """Photos in a batch for all predictors of a pass, because a photo is decoded once for all of them."""
    return min((each.batch_images for each in predictors if each.batch_images is not None), default=_BATCH_IMAGES)


@dataclass(frozen=True, kw_only=True)
class PredictionStage(Stage):
    """A stage that makes one row per accepted photo and method from the photo's pixels."""

    group: str = "vision"
    table: TableSpec
    predictor: Callable[[PredictionModels], Predictor]
    """Makes the predictor of a run; loads nothing."""
    uses_models: bool
    """Whether one of the run's models makes the rows; otherwise arithmetic does."""
    status_column: str
    """Heading of the number of its photos in `shelf status`, such as "classified"."""
    facts_of: Callable[[Facts], Facts] = dict
    """What `shelf show` says of a row."""
    confidence_column: str | None = None
    """Column with the probability of its answer, 0 to 1, whose distribution is tracked; None where it has none."""
