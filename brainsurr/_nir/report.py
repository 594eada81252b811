"""What a chip holds of a network, layer by layer: a report that prints as a table."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._report import Report, as_text
from .layers import Affine, Population
from .on_chip import ChipLIF, SpeckLIF


class RoundedLayer(NamedTuple):
    """What a chip holds of a layer.

    Attributes:
      scale: integers for each unit of its weights, one for all or for each channel; None of neurons.
      largest: the largest of its weights as integers: 127 at most, of Speck 128, of Loihi 254; None of neurons.
      lost: the share of its weights that became 0, of those that are not; None of neurons.
      threshold: as integers, the smallest and the largest; None of what has none.
      decay: as it is here; None of what has none.
      held: the decay that the chip has for it.
    """

    scale: Any = None
    largest: int | None = None
    lost: float | None = None
    threshold: tuple[int, int] | None = None
    decay: Any = None
    held: Any = None


@dataclasses.dataclass(frozen=True)
class RoundingReport(Report[RoundedLayer]):
    """What a chip holds of a network: a mapping from layers, by index and class; ``print`` shows a table.

    Attributes:
      layers: what it holds of each, a :class:`RoundedLayer`.
    """

    _measured: ClassVar[str] = "layers"

    layers: dict[str, RoundedLayer]

    def __str__(self) -> str:
        rows = [["layer", "scale", "largest", "lost", "threshold", "decay", "held"]]
        for name, (scale, largest, lost, threshold, decay, held) in self.items():
            weights = [""] * 3 if lost is None else [_ends(scale), str(largest), f"{lost:.1%}"]
            ends = "" if threshold is None else " to ".join(map(str, dict.fromkeys(threshold)))
            rows.append([name, *weights, ends, *(_ends(value) for value in (decay, held))])
        return as_text(rows, [])


def _ends(value: Any) -> str:
    """Return the smallest and the largest of some numbers as text, one if they are the same."""
    return "" if value is None else " to ".join(dict.fromkeys(f"{end(value):.5g}" for end in (np.min, np.max)))


def report(layers: list[Any], before: list[Any], after: list[Any]) -> RoundingReport:
    """Return what a chip holds of each layer of weights or neurons.

    Args:
      layers: as a framework has them, for their names.
      before: the same as arrays and neurons.
      after: the same, rounded.
    """
    rows, scale = dict[str, RoundedLayer](), None
    for i in reversed(range(len(layers))):  # neurons come before their weights, and have the scale
        new = after[i]
        if isinstance(new, Affine):
            kernel = np.abs(new.kernel)[np.asarray(before[i].kernel) != 0]
            row = RoundedLayer(
                scale, int(np.max(kernel, initial=0)), float(np.mean(kernel == 0)) if kernel.size else 0.0
            )
        elif isinstance(new, Population):
            neuron, row = new.neuron, RoundedLayer()
            if isinstance(neuron, ChipLIF):
                scale, held = np.asarray(neuron.scale), np.asarray(neuron.threshold)
                row = row._replace(threshold=(int(held.min()), int(held.max())))
            if not isinstance(neuron, SpeckLIF):
                held = 1 - neuron.leak if hasattr(neuron, "leak") else neuron.decay
                row = row._replace(decay=np.asarray(before[i].neuron.decay), held=np.asarray(held))
        else:
            continue
        rows[f"{i} {type(layers[i]).__name__}"] = row
    return RoundingReport(dict(reversed(rows.items())))
