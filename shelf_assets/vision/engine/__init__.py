"""The streaming engine: photos in, rows out, in memory that does not grow with the day. It knows neither Dagster nor the lake.

    reader → decode pool → batcher → models → writer

`reader` reads many objects concurrently and processes them in a thread pool; `batches` stacks tensors and reads ahead; `infer`
passes each batch to every model that needs it and hands rows to a writer; `stage_timer` measures each stage. All of them are
generators that pull: a slow stage holds back the stages before it, and closing the last one closes all.
"""

from shelf_assets.vision.engine.batches import PixelBatch, batched, read_ahead
from shelf_assets.vision.engine.infer import Task, run_tasks
from shelf_assets.vision.engine.reader import Bounds, decode_each, read_each
from shelf_assets.vision.engine.stage_timer import StageTimer

__all__ = [
    "Bounds",
    "PixelBatch",
    "StageTimer",
    "Task",
    "batched",
    "decode_each",
    "read_ahead",
    "read_each",
    "run_tasks",
]
