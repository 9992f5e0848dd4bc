"""Every encoder and decoder of sounds that folders may name: importing this registers them.

Users' own are registered by the module that defines them.
"""

import chiasm.sound.mdct
import chiasm.sound.mel
import chiasm.sound.vocoder  # noqa: F401
