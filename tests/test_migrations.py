"""The schema: up from nothing, the same as the models, and down again."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from app.db import migrations_directory


def configuration(directory: Path) -> Config:
    """Alembic on an empty SQLite file."""
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{directory / 'state.db'}")
    return config


def test_migrations_go_up_match_the_models_and_go_down(tmp_path: Path) -> None:
    """``check`` fails when the models have something that no migration makes."""
    config = configuration(tmp_path)
    command.upgrade(config, "head")
    command.check(config)
    command.downgrade(config, "base")
