"""The channel counts of tables 2 to 9 (appendix A), as data."""

from dataclasses import dataclass

# Below this an MLP would starve the normalisation that it steers; our choice for narrow networks.
_MIN_MLP_UNITS = 16


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Widths of the networks of one task; strides and layer order are in the networks themselves.

    Attributes:
        encoder_channels: first convolution, then one conv block per downsampling; the last is
            the number of latent channels (common and unique together).
        decoder_channels: first convolution, then the conv blocks; one per upsampling.
        decoder_kernel: kernel of the common decoder and of the baselines' decoders, in pixels.
        residual_kernel: kernel of the residual decoder, in pixels.
        discriminator_channels: first convolution (stride 1), then those of stride 2.
        mlp_units: hidden units of the MLP of equation 5.
        n_dimensions: of the images: 2, or 3 of volumes, with the same channels and kernels.
    """

    encoder_channels: tuple[int, ...]
    decoder_channels: tuple[int, ...]
    decoder_kernel: int = 3
    residual_kernel: int = 5
    discriminator_channels: tuple[int, ...]
    mlp_units: int = 256
    n_dimensions: int = 2

    def scaled(self, width: float, min_channels: int = 1) -> "Architecture":
        """The same networks with every channel count times `width`, at least 1 (MLP: 16).

        Args:
            width: factor; at 1 the networks are the paper's, whatever `min_channels` is.
            min_channels: a layer of encoder and decoders has at least so many, where its table
                does: with 4 channels at full resolution a decoder can hardly draw (our choice).
        """

        def scale(channels: tuple[int, ...], least: int = 1) -> tuple[int, ...]:
            return tuple(max(1, min(n, least), round(n * width)) for n in channels)

        return Architecture(
            encoder_channels=scale(self.encoder_channels, min_channels),
            decoder_channels=scale(self.decoder_channels, min_channels),
            decoder_kernel=self.decoder_kernel,
            residual_kernel=self.residual_kernel,
            discriminator_channels=scale(self.discriminator_channels),
            mlp_units=max(_MIN_MLP_UNITS, round(self.mlp_units * width)),
            n_dimensions=self.n_dimensions,
        )


ARCHITECTURES: dict[str, Architecture] = {
    # Tables 2, 3, 4 and 8.
    "mnist48": Architecture(
        encoder_channels=(32, 64, 128, 256, 512),
        decoder_channels=(256, 128, 64, 32),
        discriminator_channels=(128, 128, 256, 512),
    ),
    # Tables 5, 6, 7 and 8.
    "mnist128": Architecture(
        encoder_channels=(16, 32, 64, 128, 256, 512),
        decoder_channels=(256, 128, 64, 32, 16),
        discriminator_channels=(128, 128, 256, 512),
    ),
    # Tables 5, 6, 7 and 9.
    "brats": Architecture(
        encoder_channels=(16, 32, 64, 128, 256, 512),
        decoder_channels=(256, 128, 64, 32, 16),
        discriminator_channels=(64, 64, 128, 256, 512),
    ),
}
