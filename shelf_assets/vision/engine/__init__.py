"""The streaming engine: photos in, rows out, in memory that does not grow with the day. Knows neither Dagster nor the lake.

    reader → decode pool → batcher → models → writer

`reader` keeps many objects in flight and works on them in a pool (judging, cutting tensors), `batches` stacks what comes out
and reads ahead, `infer` passes each batch through every model that misses it and hands rows to a writer, `clock` times each
stage apart. All of them are generators that pull: a slow stage stops the ones before it, and closing the last closes all.
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
