"""Which masks an image or a scan has: one of all classes, or one of each of several pathologies."""

from pathlib import Path


class Masked:
    """What is known of an image or a scan that has these attributes.

    Attributes:
        mask: its mask, of all classes.
        masks: of several pathologies a mask of each, or None; empty where no such file can be.
        shows: of several pathologies whether it shows each: 1, 0, or `VOID`; else empty.
    """

    mask: Path | None
    masks: tuple[Path | None, ...]
    shows: tuple[int, ...]

    @property
    def layers(self) -> tuple[tuple[int | None, Path], ...]:
        """All its masks, each with the pathology that it is of; None: of all classes."""
        files = ((None, self.mask), *enumerate(self.masks))
        return tuple((k, path) for k, path in files if path is not None)

    @property
    def has_mask(self) -> bool:
        """Whether any mask says where something is."""
        return bool(self.layers)

    @property
    def is_masked(self) -> tuple[bool, ...]:
        """Of several pathologies: whether a mask says where each is."""
        each = self.masks or (None,) * len(self.shows)
        return tuple(self.mask is not None or path is not None for path in each)

    @property
    def has_whole_mask(self) -> bool:
        """Whether masks say where all is that it may show, as scores need."""
        if not self.masks:
            return self.mask is not None
        known = zip(self.is_masked, self.shows, strict=True)
        return all(is_masked or shows == 0 for is_masked, shows in known)
