"""grain, imported without its warning about jax's profiler, which chiasm does not use."""

from absl import logging

logging.get_absl_logger().addFilter(lambda record: "jax profiler" not in record.getMessage())

import grain  # noqa: E402  (behind the filter)

__all__ = ["grain"]
