"""Keeps grain's import quiet: it looks for jax's profiler, which chiasm never uses, and warns."""

from absl import logging

logging.get_absl_logger().addFilter(lambda record: "jax profiler" not in record.getMessage())
