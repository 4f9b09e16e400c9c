"""Large histories, and histories that several hosts share"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: SQLite's integers have 64 bits anyway, and changing a column there copies the table.
LARGE = (("job_event", "id"), ("audit_event", "id"), ("backup", "size_bytes"))


def upgrade() -> None:
    op.create_table(
        "host_claim",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("host"),
    )
    op.drop_index("job_by_instance", "job")
    op.create_index("job_by_instance", "job", ["instance", "id", "status", "type"])
    op.create_index("job_by_status", "job", ["status", "id"])
    op.create_index("job_by_type", "job", ["type", "id"])
    op.create_index("job_by_status_and_type", "job", ["status", "type", "id"])
    _change_integers(sa.BigInteger())


def downgrade() -> None:
    _change_integers(sa.Integer())
    op.drop_index("job_by_status_and_type", "job")
    op.drop_index("job_by_type", "job")
    op.drop_index("job_by_status", "job")
    op.drop_index("job_by_instance", "job")
    op.create_index("job_by_instance", "job", ["instance", "id"])
    op.drop_table("host_claim")


def _change_integers(kind: sa.types.TypeEngine[int]) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in LARGE:
        op.alter_column(table, column, type_=kind)
        if column == "id":
            op.execute(f"ALTER SEQUENCE {table}_id_seq AS {kind.compile()}")
