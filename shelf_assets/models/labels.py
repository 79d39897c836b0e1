"""Readable class names, from the lists that ship with timm. No model belongs here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any


def class_names(pretrained_config: Any, classes: int) -> list[str]:
    """The name of each class of a timm model, by its pretrained configuration; names are unique.

    ImageNet's variants are recognised by their number of classes. Other models use the configuration's own names, or the number
    of the class ("class 17") where it has none.
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
    """The first synonym of each "tench, Tinca tinca", or a longer name where the first synonym is not unique.

    Both cranes are only called "crane", so they get their definition ("crane: lifts and moves heavy objects; …").
    """
    first = [name.split(",")[0].strip() for name in names]
    times, whole_times = Counter(first), Counter(names)
    return [
        short if times[short] == 1 else name if whole_times[name] == 1 else full
        for short, name, full in zip(first, names, detailed, strict=True)
    ]
