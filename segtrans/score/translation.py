"""Does a method translate: does the target go, and does everything else stay?

Sums and counts stay on the method's device and are read back once, at the end. Nothing is drawn
from any generator but one of its own, and no weight is changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self, cast, runtime_checkable

import torch
from torch import Tensor, nn

from segtrans.config.run_record import TRANSLATION_FIGURES
from segtrans.methods.inference import Translates, device_of
from segtrans.stacks import middle
from segtrans.tasks.base import VOID

_N_BINS = 1000
_PRIOR_SEED = 0
_MAPS = ("residual", "difference", "intensity")
# Smallest and largest value: residuals and images come out of a tanh, or are clipped.
_RANGES = {"residual": (0.0, 1.0), "difference": (0.0, 2.0), "intensity": (-1.0, 1.0)}

Batches = Iterable[tuple[Tensor, Tensor | None]]


@runtime_checkable
class Judges(Protocol):
    """A method with a discriminator for each domain, "A" and "P"."""

    def realness(self, domain: str, x: Tensor) -> Tensor:
        """Scores (N,) that the discriminator of a domain gives to images (N, C, H, W)."""
        ...


@dataclass(frozen=True)
class Threshold:
    """Where a map is cut.

    Attributes:
        channel: of the map.
        value: the cut.
        step: its number among the cuts that are tried, from 0, the lowest value.
        is_above: whether pixels at and above it are chosen, or those below.
    """

    channel: int
    value: float
    step: int
    is_above: bool

    def __str__(self) -> str:
        side = "from" if self.is_above else "below"
        return f"channel {self.channel}, {side} {self.value:g}"


class ThresholdDice:
    """Dice of a thresholded map with a mask, pooled over pixels, for a thousand thresholds at once.

    Values are counted in bins, so that nothing but counts is kept.

    Args:
        low: smallest value.
        high: largest value; what lies beyond counts as these.
        n_channels: of the map; each is a map by itself.
        device: of the values.
    """

    def __init__(self, low: float, high: float, n_channels: int, device: torch.device) -> None:
        self._low, self._step = low, (high - low) / _N_BINS
        # Pixels of the rest, then of the target.
        self._counts = torch.zeros(n_channels, 2, _N_BINS, dtype=torch.int64, device=device)

    def add(self, values: Tensor, is_target: Tensor, is_known: Tensor) -> None:
        """Count values (N, M, ...) in and out of the target (N, ...), where that is known."""
        n_channels = values.shape[1]
        bins = ((values - self._low) / self._step).long().clamp_(0, _N_BINS - 1)
        region = torch.where(is_known, is_target.long(), 2)[:, None]  # 2 is left out
        channels = torch.arange(n_channels, device=values.device).view(
            1, -1, *[1] * (values.ndim - 2)
        )
        slots = (channels * 3 + region) * _N_BINS + bins
        counts = torch.bincount(slots.flatten(), minlength=3 * n_channels * _N_BINS)
        self._counts += counts.view(n_channels, 3, _N_BINS)[:, :2]

    def all_dice(self) -> Tensor:
        """(M, 2, 1000) float64: channel by channel, at and above each threshold, and below it."""
        above = self._counts.flip(-1).cumsum(-1).flip(-1)
        total = self._counts.sum(-1, keepdim=True)
        sides = torch.stack([above, total - above], dim=1)  # (M, side, region, bins)
        size = (sides.sum(2) + total[:, 1:]).clamp_min(1)
        return 2 * sides[:, :, 1].double() / size

    def best(self) -> Threshold:
        """The threshold with the largest Dice."""
        dice = self.all_dice()
        channel, rest = divmod(int(dice.argmax()), 2 * _N_BINS)
        side, step = divmod(rest, _N_BINS)
        return Threshold(channel, self._low + step * self._step, step, side == 0)

    def at(self, threshold: Threshold) -> float:
        """The Dice at a threshold, in [0, 1]; without any target it is 0."""
        side = 0 if threshold.is_above else 1
        return float(self.all_dice()[threshold.channel, side, threshold.step])


class TranslationTally:
    """What translating a set of images does, as counts; each block of images is added to it.

    Args:
        method: translates; in evaluation mode.
        n_channels: of the images.
    """

    def __init__(self, method: Translates, n_channels: int) -> None:
        self._method, self._n_channels = method, n_channels
        self._device = device = device_of(cast(nn.Module, method))
        self._dice = {
            name: ThresholdDice(*_RANGES[name], n_channels if name == "intensity" else 1, device)
            for name in _MAPS
        }
        # Of the target and of the rest: sums of before * after, and of before * before.
        self._kept = torch.zeros(2, 2, dtype=torch.float64, device=device)
        self._scores: dict[str, list[Tensor]] = {}
        self._generator = torch.Generator(device).manual_seed(_PRIOR_SEED)
        self._code_shape: torch.Size | None = None  # of one image

    @classmethod
    def of(cls, method: nn.Module, n_channels: int) -> Self | None:
        """A tally; None for a method that does not translate."""
        return cls(method, n_channels) if isinstance(method, Translates) else None

    def add(self, domain: str, x: Tensor, mask: Tensor | None) -> None:
        """Translate images of a domain, "present" or "absent"."""
        if domain == "present":
            self.add_present(x, mask)
        else:
            self.add_absent(x)

    @torch.no_grad()
    def add_present(self, x: Tensor, mask: Tensor | None) -> None:
        """Translate images of P, (N, C, H, W) in [-1, 1], with masks (N, H, W)."""
        if mask is None:
            raise ValueError("translation is scored on images with masks, those of presence")
        x_P, mask = x.to(self._device), mask.to(self._device)
        is_known = mask != VOID
        is_target = (mask > 0) & is_known
        x_PA, delta_PA = self._method.remove(x_P)
        x_P = middle(x_P, self._n_channels)
        maps = {
            "residual": delta_PA.abs().mean(dim=1, keepdim=True),
            "difference": (x_P - x_PA).abs().mean(dim=1, keepdim=True),
            "intensity": x_P,
        }
        for name, values in maps.items():
            self._dice[name].add(values, is_target, is_known)
        # From the usual value of the rest on: black of digits, the brain's mean, a background.
        rest = x_P.masked_fill((is_target | ~is_known)[:, None], torch.nan).flatten(2)
        usual = rest.nanmedian(dim=2).values.nan_to_num()
        usual = usual.view(*usual.shape, *[1] * (x_P.ndim - 2))
        before, after = x_P - usual, x_PA - usual
        for region, where in enumerate((is_target, is_known & ~is_target)):
            for i, product in enumerate((before * after, before * before)):
                self._kept[region, i] += (product * where[:, None]).sum(dtype=torch.float64)
        self._judge({"A": {"P": x_P, "PA": x_PA}, "P": {"P": x_P}})

    @torch.no_grad()
    def add_absent(self, x: Tensor) -> None:
        """Translate images of A, (N, C, H, W), with codes from the prior."""
        x_A = x.to(self._device)
        if not isinstance(self._method, Judges):
            return
        # As many as there are images, however many processes share the training.
        if self._code_shape is None:
            like = self._method.sample_u(x_A[:1], torch.Generator(self._device))
            self._code_shape = like.shape[1:]
        shape = (len(x_A), *self._code_shape)
        u_prior = torch.randn(shape, generator=self._generator, device=self._device)
        x_AP, _ = self._method.insert(x_A, u_prior)
        x_A = middle(x_A, self._n_channels)
        self._judge({"A": {"A": x_A}, "P": {"A": x_A, "AP": x_AP}})

    def thresholds(self) -> dict[str, Threshold]:
        """The best one for each of the residual, the difference and the intensity."""
        return {name: counted.best() for name, counted in self._dice.items()}

    def scores(self, thresholds: dict[str, Threshold]) -> dict[str, float | None]:
        """The figures of `TRANSLATION_FIGURES`.

        - `dice_residual`: Dice of |delta_PA| (mean over channels) with the mask at a threshold,
          pooled over pixels; `dice_difference` the same of |x_P - x_PA|; `dice_intensity` of a
          channel of x_P, above or below: what is to be had without translating.
        - `kept_target`, `kept_rest`: the gain g that fits x_PA = g x_P best (least squares) over
          the target and over all else, both counted from the median of the rest of each image and
          channel: 1 where nothing is changed, 0 where all is taken away; it may lie outside.
        - `disc_auc_A`, `disc_auc_P`: how well each discriminator tells real images of its domain
          from real ones of the other, area under the ROC curve in [0, 1].
        - `disc_score_A`, `disc_score_PA`: its mean score of real and of translated images, for
          D_A; `disc_score_P`, `disc_score_AP` for D_P. None without discriminators, or
          without images of A.
        """
        gains = (self._kept[:, 0] / self._kept[:, 1].clamp_min(1e-12)).tolist()
        values: dict[str, float | None] = dict.fromkeys(TRANSLATION_FIGURES)
        values |= {f"dice_{name}": self._dice[name].at(of) for name, of in thresholds.items()}
        values |= dict(zip(("kept_target", "kept_rest"), gains, strict=True))
        joined = {name: torch.cat(parts) for name, parts in self._scores.items()}
        for own, other in (("A", "P"), ("P", "A")) if "A of A" in joined else ():
            real, fake = joined[f"{own} of {own}"], joined[f"{own} of {other}{own}"]
            values[f"disc_auc_{own}"] = area_under_roc(real, joined[f"{own} of {other}"])
            values[f"disc_score_{own}"] = float(real.mean())
            values[f"disc_score_{other}{own}"] = float(fake.mean())
        return values

    def _judge(self, images: dict[str, dict[str, Tensor]]) -> None:
        """Keep the scores that the discriminator of each domain gives to images by name."""
        if isinstance(self._method, Judges):
            for domain, named in images.items():
                scores = self._method.realness(domain, torch.cat(list(named.values())))
                parts = scores.chunk(len(named))
                for name, part in zip(named, parts, strict=True):
                    self._scores.setdefault(f"{domain} of {name}", []).append(part.double())


def measure_translation(
    method: nn.Module, present: Batches, absent: Batches, *, n_channels: int | None = None
) -> dict[str, float]:
    """The figures of `TranslationTally.scores`, at the best threshold of these very images.

    Args:
        method: in evaluation mode.
        present: images of P with masks.
        absent: images of A; their masks are not looked at.
        n_channels: of an image without its neighbours; None: images have none.

    Returns:
        Nothing for a method that does not translate.
    """
    tally: TranslationTally | None = None
    for x, mask in present:
        if tally is None:
            tally = TranslationTally.of(method, n_channels or x.shape[1])
        if tally is None:
            return {}
        tally.add_present(x, mask)
    if tally is None:
        raise ValueError("there is nothing to measure translation on")
    for x, _ in absent:
        tally.add_absent(x)
    scores = tally.scores(tally.thresholds())
    return {name: value for name, value in scores.items() if value is not None}


def area_under_roc(positive: Tensor, negative: Tensor) -> float:
    """Share of pairs in which the positive's score (M,) is above the negative's (N,); ties half."""
    ordered = negative.sort().values
    below = torch.searchsorted(ordered, positive)
    not_above = torch.searchsorted(ordered, positive, right=True)
    return float((below + not_above).double().mean() / (2 * len(negative)))
