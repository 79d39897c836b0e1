"""Class names in people's words, from the lists that ship inside timm. No model belongs here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any


def class_names(pretrained_config: Any, classes: int) -> list[str]:
    """The name of each class of a timm model, by its pretrained configuration; no two are alike.

    ImageNet's sets are known by their number of classes; of other sets the configuration's own names serve, and
    where there are none the class's number ("class 17").
    """
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": classes})
    if subset:
        info = ImageNetInfo(subset)
        detailed = info.label_descriptions(detailed=True)
        return shortened([str(name) for name in info.label_descriptions()], [str(name) for name in detailed])
    named = getattr(pretrained_config, "label_names", None) or ()
    return list(named) if len(named) == classes else [f"class {number}" for number in range(classes)]


def shortened(names: Sequence[str], detailed: Sequence[str]) -> list[str]:
    """Each "tench, Tinca tinca" by its first synonym, and only as much longer as tells it from the other classes.

    Both cranes are "crane" and no more, so they get their definition ("crane: lifts and moves heavy objects; …").
    """
    first = [name.split(",")[0].strip() for name in names]
    times, whole_times = Counter(first), Counter(names)
    return [
        short if times[short] == 1 else name if whole_times[name] == 1 else full
        for short, name, full in zip(first, names, detailed, strict=True)
    ]
