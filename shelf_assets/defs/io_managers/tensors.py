"""The IO manager of tensors: takes a stream, writes shards; gives a reader that iterates batches. Layout: `lake.tensor_store`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from shelf_assets.lake.tensor_store import Tensor, TensorDay, TensorFailure, Written
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.vision.engine import StageTimer


@dataclass(frozen=True)
class TensorStream:
    """The value of `image_tensors`: tensors and failures one by one, as the decoder makes them. Read once, timed by `timer`."""

    items: Iterable[Tensor | TensorFailure]
    on_written: Callable[[Written], None] = lambda written: None
    timer: StageTimer = field(default_factory=StageTimer)


class TensorIOManager(dg.IOManager):
    """Writes a TensorStream of one day; loads a `TensorDay`."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def handle_output(self, context: dg.OutputContext, obj: TensorStream) -> None:
        tensor_day = self._tensors.day(_one_day(context))
        written = tensor_day.write(obj.items, self._tensors.shard_images)
        obj.on_written(written)
        context.add_output_metadata(
            {
                "dagster/uri": tensor_day.uri,
                "tensors_new": written.tensors,
                "failures_new": written.failures,
                "shards_new": written.shards,
                "bytes_written": written.bytes_written,
                "geometry_digest": self._tensors.geometry.digest(),
                **obj.timer.metrics(),
            }
        )

    def load_input(self, context: dg.InputContext) -> TensorDay:
        return self._tensors.day(_one_day(context))


def _one_day(context: dg.InputContext | dg.OutputContext) -> date:
    keys = list(context.asset_partition_keys)
    if len(keys) != 1:
        raise ValueError(f"tensors are written and read one day per run, not {len(keys)}: {keys[:3]} …")
    return date.fromisoformat(keys[0])
