"""Errors of choosing and loading models; each message says what to do. Errors of single photos do not belong here."""

from __future__ import annotations

from collections.abc import Sequence


class ModelError(RuntimeError):
    """The requested model cannot be used."""


class UnknownModel(ModelError):
    """The library's registry has no such name; `near` lists similar names."""

    def __init__(self, name: str, near: Sequence[str], where: str) -> None:
        self.name, self.near = name, tuple(near)
        hint = f"near matches: {', '.join(near)}" if near else "there are no near matches"
        super().__init__(f"unknown model {name!r}; {hint}. All names: {where}.")


class WeightsUnavailable(ModelError):
    """The weights are not on this machine, and the hub cannot provide them now."""


class SilentFallbackRefused(ModelError):
    """`auto` is set where models must not be replaced silently."""


class ModelDigestMismatch(ModelError):
    """The weights differ from those that were pinned or first used under this name."""

    def __init__(self, name: str, recorded: str, found: str, advice: str) -> None:
        self.name, self.recorded, self.found = name, recorded, found
        super().__init__(
            f"the weights of {name} differ from the recorded ones: recorded sha256 {recorded}, found {found}. {advice}"
        )


class UnsafeWeights(ModelError):
    """A weights file contains more than tensors, or has a format that can run code when it is loaded."""
