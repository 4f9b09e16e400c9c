"""This machine: its disk, its database, its descriptors."""

from tests.faults.rows import FULL_DISK, Fault
from tests.faults.surroundings import (
    database_locked,
    database_unwritable,
    database_unwritable_soon,
    file_for_proofs,
    no_descriptors_soon,
    no_room_for_the_archive,
)

ROWS = [
    Fault("host", "the disk is full before", settings=FULL_DISK, ends="failed", code="insufficient-storage"),
    Fault(
        "host",
        "the disk is full in the midst of a download",
        around=no_room_for_the_archive,
        ends="failed",
        code="insufficient-storage",
    ),
    Fault(
        "host", "a file where proofs should go", around=file_for_proofs, ends="failed", code="host-directory-unusable"
    ),
    Fault("host", "the database is locked for a while", around=database_locked),
    Fault("host", "the database cannot grow", around=database_unwritable, ends="refused", code="database-unavailable"),
    Fault("host", "the database cannot grow for a while, in the midst of a job", around=database_unwritable_soon),
    Fault("host", "no file can be opened for a while, in the midst of a job", around=no_descriptors_soon),
]
