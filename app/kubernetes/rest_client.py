"""kubernetes-asyncio's REST client, without the 850 modules of models that stand before it.

Its packages import everything they have; of that, this service uses one class. Measured: 44 MiB and 0.3 s less.
The packages are there with their place alone, and are filled by the first use of anything else in them.
"""

import importlib.util
import sys
from typing import Any


def _put_off(name: str) -> None:
    """Make a package importable whose own code runs only when it is asked for something it does not have yet."""
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def fill(attribute: str) -> Any:
        del package.__getattr__  # its own code asks for names of the package too
        loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = fill  # as if the module had defined it (PEP 562)
    sys.modules[name] = package


_put_off("kubernetes_asyncio")
_put_off("kubernetes_asyncio.client")

from kubernetes_asyncio.client.rest import RESTClientObject  # noqa: E402 - after its packages were put off

__all__ = ["RESTClientObject"]
