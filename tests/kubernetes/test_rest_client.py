"""The client's models are not loaded, and can be all the same by whoever wants one."""

import subprocess
import sys

PROGRAM = """
import sys
from app.kubernetes.transport import Transport
loaded = [name for name in sys.modules if name.startswith("kubernetes_asyncio.client.models")]
assert not loaded, loaded
from kubernetes_asyncio import client, config
assert client.V1Pod(kind="Pod").kind == "Pod"
assert client.CoreV1Api and config.load_kube_config
"""


def test_models_are_loaded_by_their_first_use_alone() -> None:
    """In a process of its own, since what was loaded once stays."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
