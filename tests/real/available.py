"""Whether this machine can run real clusters: in CI it must, elsewhere what needs them is skipped with the reason."""

import os

import pytest

from tests.real import cluster
from tests.real.binaries import binary
from tests.real.errors import RealError
from tests.real.power import OWNER_VARIABLE


def need_real_clusters() -> None:
    """Skip the test, or in CI fail, where there are none; clusters made from now on end with this test run."""
    try:
        cluster.require_machine()
        binary("velero")
    except RealError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    os.environ[OWNER_VARIABLE] = str(os.getpid())
