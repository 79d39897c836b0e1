"""Class names are unique, because labels are keys in the marts."""

from __future__ import annotations

from types import SimpleNamespace

from shelf_assets.models.labels import class_names, shortened


def test_classes_sharing_a_first_synonym_keep_the_whole_name() -> None:
    names = ["tench, Tinca tinca", "maillot", "maillot, tank suit", "crane", "crane"]
    detailed = ["tench: a fish", "maillot: tights", "maillot: for swimming", "crane: a bird", "crane: a machine"]
    assert shortened(names, detailed) == ["tench", "maillot", "maillot, tank suit", "crane: a bird", "crane: a machine"]


def test_every_imagenet_class_has_its_own_name() -> None:
    names = class_names(SimpleNamespace(), 1000)
    assert (names[0], names[954], names[948]) == ("tench", "banana", "Granny Smith")
    assert len(set(names)) == 1000


def test_unknown_class_sets_are_numbered() -> None:
    assert class_names(SimpleNamespace(), 3) == ["class 0", "class 1", "class 2"]
    assert class_names(SimpleNamespace(label_names=["milk", "bread", "tea"]), 3) == ["milk", "bread", "tea"]
    assert class_names(SimpleNamespace(label_names=["milk"]), 3)[2] == "class 2"
