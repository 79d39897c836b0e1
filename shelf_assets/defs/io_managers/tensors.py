"""The IO manager of tensors: takes a stream, writes shards; gives a reader that iterates batches. Layout: `lake.shards`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.lake.tensor_store import Tensor, TensorDay, TensorFailure, Written
from shelf_assets.pipeline.models import geometry_of
from shelf_assets.vision.engine import StageTimer
from shelf_assets.vision.preprocess import Geometry


@dataclass(frozen=True)
class TensorStream:
    """The value of `image_tensors`: tensors and failures one by one, as the decoder makes them. Read once, timed by `clock`."""

    items: Iterable[Tensor | TensorFailure]
    on_written: Callable[[Written], None] = lambda written: None
    clock: StageTimer = field(default_factory=StageTimer)


class TensorIOManager(dg.ConfigurableIOManager):
    """Writes a TensorStream of one day in the geometry of the settings; loads a `TensorDay`.

    The geometry is no part of the configuration: changed for one run in the UI, predictions would not know of it.
    """

    lake: dg.ResourceDependency[LakeResource]

    @property
    def geometry(self) -> Geometry:
        return geometry_of(self.lake.settings)

    def day(self, day: date) -> TensorDay:
        return self.lake.lake.tensors(day, self.geometry.digest(), self.geometry.size_px)

    def handle_output(self, context: dg.OutputContext, obj: TensorStream) -> None:
        tensor_day = self.day(_one_day(context))
        written = tensor_day.write(obj.items, self.lake.settings.vision.shard_images)
        obj.on_written(written)
        context.add_output_metadata(
            {
                "dagster/uri": tensor_day.uri,
                "tensors_new": written.tensors,
                "failures_new": written.failures,
                "shards_new": written.shards,
                "bytes_written": written.bytes_written,
                "geometry_digest": self.geometry.digest(),
                **obj.clock.metrics(),
            }
        )

    def load_input(self, context: dg.InputContext) -> TensorDay:
        return self.day(_one_day(context))


def _one_day(context: dg.InputContext | dg.OutputContext) -> date:
    keys = list(context.asset_partition_keys)
    if len(keys) != 1:
        raise ValueError(f"tensors are written and read one day per run, not {len(keys)}: {keys[:3]} …")
    return date.fromisoformat(keys[0])
