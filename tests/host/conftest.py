"""One instance's directory in an empty home."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.host.config import InstanceConfig
from app.host.instance_directory import InstanceDirectory


@pytest.fixture
def directory(tmp_path: Path) -> InstanceDirectory:
    """The directory as KECS leaves it: with its mounted ``data``."""
    found = InstanceDirectory.open(tmp_path / "instances", "shop")
    found.data.mkdir(parents=True)
    return found


@pytest.fixture
def config() -> InstanceConfig:
    """A first record."""
    return InstanceConfig(instance_id="0198", created_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
