"""Large histories, and histories that several hosts share"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: For lists of jobs by their filters, newest first.
INDEXES = {
    "job_by_instance_and_status": ("instance", "status"),
    "job_by_instance_and_type": ("instance", "type"),
    "job_by_instance_status_and_type": ("instance", "status", "type"),
    "job_by_status": ("status",),
    "job_by_status_and_type": ("status", "type"),
    "job_by_type": ("type",),
}
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
    op.drop_index("job_by_idempotency_key", "job")
    keyed = sa.text("idempotency_key IS NOT NULL")
    op.create_index(
        "job_by_idempotency_key",
        "job",
        ["host", "idempotency_key"],
        unique=True,
        sqlite_where=keyed,
        postgresql_where=keyed,
    )
    for name, columns in INDEXES.items():
        op.create_index(name, "job", [*columns, "id"])
    _change_integers(sa.BigInteger())


def downgrade() -> None:
    _change_integers(sa.Integer())
    for name in INDEXES:
        op.drop_index(name, "job")
    op.drop_index("job_by_idempotency_key", "job")
    op.create_index("job_by_idempotency_key", "job", ["host", "idempotency_key"], unique=True)
    op.drop_table("host_claim")


def _change_integers(kind: sa.types.TypeEngine[int]) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in LARGE:
        op.alter_column(table, column, type_=kind)
        if column == "id":
            op.execute(f"ALTER SEQUENCE {table}_id_seq AS {kind.compile()}")
