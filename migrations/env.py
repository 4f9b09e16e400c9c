"""Runs migrations on the connection the service gives, or on ``sqlalchemy.url`` for a developer's alembic."""

from typing import Any

from alembic import context
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from app.access import models as access  # noqa: F401 - declares tables, as do the next two
from app.jobs import models as jobs  # noqa: F401
from app.webhooks import models as webhooks  # noqa: F401


def run(connection: Any) -> None:
    """Upgrade or compare on one connection; SQLite changes tables by copying them."""
    context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None  # noqa: S101 - a developer gives it
    engine = create_engine(url)
    with engine.connect() as opened:
        run(opened)
        opened.commit()
    engine.dispose()
