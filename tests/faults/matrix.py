"""Every row of the fault matrix, in the order it is run: the service is restarted where its settings change."""

from tests.faults import api_server, host, object_store, power, velero
from tests.faults.rows import FULL_DISK, HURRIED, NO_WAKE, PATIENT, PRUNING, Fault

_ALL = [*api_server.ROWS, *object_store.ROWS, *velero.ROWS, *power.ROWS, *host.ROWS]
ROWS: list[Fault] = sorted(
    _ALL, key=lambda row: [PATIENT, PRUNING, HURRIED, NO_WAKE, FULL_DISK].index(dict(row.settings))
)
