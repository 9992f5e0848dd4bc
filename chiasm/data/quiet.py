"""grain, whose import looks for jax's profiler, which chiasm never uses, and warns: not here."""

from absl import logging

logging.get_absl_logger().addFilter(lambda record: "jax profiler" not in record.getMessage())

import grain  # noqa: E402  (behind the filter)

__all__ = ["grain"]
