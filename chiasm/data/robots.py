"""The kinds ``catalog`` and ``lerobot``: recordings of controls, without poses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from chiasm.actions import ActionFormat
from chiasm.data.catalog import read_catalog
from chiasm.data.catalog_rows import CatalogColumns
from chiasm.data.episodes import RecordedControl, Recordings
from chiasm.data.lerobot import LeRobotFeatures, read_lerobot
from chiasm.data.recordings import RecordingSettings
from chiasm.data.source import SOURCES


@SOURCES.register
class CatalogSettings(RecordingSettings, CatalogColumns):
    """Documents of a table whose rows are pictures with the controls that were given at them."""

    kind: Literal["catalog"] = "catalog"

    held_out_by: ClassVar[str] = "catalogs"
    shares: ClassVar[tuple[str, ...]] = (
        *("image_column", "time_column", "time_unit", "session_column", "largest_gap"),
    )

    def read(
        self, path: str, controls: Mapping[str, RecordedControl], actions: ActionFormat
    ) -> Recordings:
        """Returns all episodes under a path."""
        return read_catalog(path, self, controls, actions.controls)


@SOURCES.register
class LeRobotSettings(RecordingSettings, LeRobotFeatures):
    """Documents of a LeRobot data set, v3.0, v2.1 or v2.0, in a folder."""

    kind: Literal["lerobot"] = "lerobot"

    held_out_by: ClassVar[str] = "lerobot"

    def read(
        self, path: str, controls: Mapping[str, RecordedControl], actions: ActionFormat
    ) -> Recordings:
        """Returns all episodes of the data set in a folder."""
        return read_lerobot(path, self, controls, actions.controls)
