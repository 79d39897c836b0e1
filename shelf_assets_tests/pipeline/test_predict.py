"""What one pass over a day promises beside its rows: nothing that it has started outlives it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shelf_assets.models.errors import ModelError
from shelf_assets.pipeline.photo_reader import PhotoReader
from shelf_assets.pipeline.predict import Predict
from shelf_assets.pipeline.stage import Predictor
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import DAY, photo, photos
from shelf_assets_tests.stories.fakes import ColourModels, ColourPredictor


class SecondFails(ColourModels):
    """Two models: the first one opens, the second one does not. `closed` names those that were closed."""

    def predictors(self, stages: Sequence[str]) -> Sequence[Predictor]:
        self.closed: list[str] = []
        closed = self.closed

        class Opens(ColourPredictor):
            def close(self) -> None:
                closed.append(self.asset)

        class Fails(Opens):
            @property
            def batch_images(self) -> int:
                raise ModelError("it cannot run here")

        first, second = (self._colours(stage) for stage in stages)
        return [
            Opens(first.asset, first.spec, first.preprocess_digest, self.open),
            Fails(second.asset, second.spec, second.preprocess_digest, self.open),
        ]


def test_model_that_cannot_be_opened_leaves_no_other_one_open(disk_lake: LakeUnderTest) -> None:
    lake, settings = disk_lake.lake, disk_lake.settings
    lake.table("raw_images").commit(photos([photo("a", 1)]))
    tensors, models = Tensors(lake, settings.vision), SecondFails.over(lake, settings)
    assert isinstance(models, SecondFails)
    predict = Predict(lake, PhotoReader.of(lake, settings.vision, settings.photos), tensors, models, commit_images=10)
    names = ["classifications", "clip_embeddings"]
    with pytest.raises(ModelError, match="cannot run here"):
        predict.run(names, DAY, lake.table("raw_images").scan().collect(), tensors.day(DAY), {}, print)
    assert sorted(models.closed) == names
