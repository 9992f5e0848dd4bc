"""Vision tokenizers: pictures to standardised latents and back.

statistics.py      mean and deviation of each latent channel, with their provenance
tokenizer.py       the protocol, and the latents of a batch's image slots
dual.py            one for context pictures and one for targets
pixels.py          patches of pixels
published/         tokenizers whose weights are published elsewhere
attention.py       the attention block of encoders and decoders
vit.py             a ViT decoder
encoder.py         the encoder of a small representation autoencoder
rae.py             such an autoencoder: encoder and decoder
kl_autoencoder.py  a small variational autoencoder
storage.py         a tokenizer as a folder
build.py           a run's tokenizer from its settings
learning/          training one
cached/            latents that are made ahead of training
"""

from chiasm.vision.build import VisionSettings, build_vision_tokenizer
from chiasm.vision.dual import DualTokenizer
from chiasm.vision.learning.from_settings import VisionTrainingSettings, train_from_settings
from chiasm.vision.learning.pictures import Box, Pictures, pictures_of_source
from chiasm.vision.learning.settings import TokenizerTrainingSettings
from chiasm.vision.learning.training import train_tokenizer
from chiasm.vision.pixels import PixelTokenizer
from chiasm.vision.rae import RaeTokenizer
from chiasm.vision.statistics import (
    LatentStatistics,
    RunningStatistics,
    read_statistics,
    save_statistics,
)
from chiasm.vision.storage import load_tokenizer, save_tokenizer
from chiasm.vision.tokenizer import (
    VisionTokenizer,
    as_floats,
    encode_images,
    encode_pictures,
)

__all__ = [
    "Box",
    "DualTokenizer",
    "LatentStatistics",
    "Pictures",
    "PixelTokenizer",
    "RaeTokenizer",
    "RunningStatistics",
    "TokenizerTrainingSettings",
    "VisionSettings",
    "VisionTokenizer",
    "VisionTrainingSettings",
    "as_floats",
    "build_vision_tokenizer",
    "encode_images",
    "encode_pictures",
    "load_tokenizer",
    "pictures_of_source",
    "read_statistics",
    "save_statistics",
    "save_tokenizer",
    "train_from_settings",
    "train_tokenizer",
]
