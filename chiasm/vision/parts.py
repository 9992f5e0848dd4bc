"""Every encoder and decoder of images that folders may name: importing this registers them.

Users' own are registered by the module that defines them.
"""

import chiasm.vision.decoder
import chiasm.vision.encoder
import chiasm.vision.kl_autoencoder
import chiasm.vision.pixels
import chiasm.vision.published.rae
import chiasm.vision.published.vae  # noqa: F401
