"""What can go wrong with a model before it runs, each with what to do about it. Errors of single photos do
not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence


class ModelError(RuntimeError):
    """A model cannot be had as asked for."""


class UnknownModel(ModelError):
    """No such name in the library's registry; `near` lists names that look alike."""

    def __init__(self, name: str, near: Sequence[str], where: str) -> None:
        self.name, self.near = name, tuple(near)
        hint = f"near matches: {', '.join(near)}" if near else "nothing looks alike"
        super().__init__(f"unknown model {name!r}; {hint}. All names: {where}.")


class WeightsUnavailable(ModelError):
    """The weights are neither on this machine nor to be had from the hub now."""


class SilentFallbackRefused(ModelError):
    """`auto` was asked for where falling back to other models must not happen unseen."""


class ModelDigestMismatch(ModelError):
    """The weights are not those that were pinned or first used under this name."""

    def __init__(self, name: str, recorded: str, found: str, advice: str) -> None:
        self.name, self.recorded, self.found = name, recorded, found
        super().__init__(
            f"the weights of {name} are not the recorded ones: recorded sha256 {recorded}, found {found}. {advice}"
        )


class UnsafeWeights(ModelError):
    """A weights file holds more than tensors, or is of a kind that can run code when it is loaded."""
