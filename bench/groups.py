"""The groups of measures that need no real Kubernetes, in the order they are taken."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench.measure import Measure


@dataclass(frozen=True)
class Group:
    """Figures that are taken together, by the function of that name in that module of this package.

    It is imported when it is needed: an earlier commit may lack what some other group leans on.
    """

    title: str
    module: str
    function: str

    async def measure(self, directory: Path) -> list[Measure]:
        """Take them, in a directory that does not exist yet."""
        measures: list[Measure] = await getattr(import_module(f"bench.{self.module}"), self.function)(directory)
        return measures


GROUPS = {
    "process": Group("The service as a process", "service_process", "measure_process"),
    "answers": Group("Answers of the API", "answers", "measure_answers"),
    "lists": Group("A long history", "lists", "measure_long_lists"),
    "callers": Group("What callers wait for", "callers", "measure_callers"),
    "stops": Group("A stop", "stops", "measure_stops"),
    "proof": Group("A proof", "proving", "measure_proof"),
    "sizes": Group("Stops of larger instances", "stops", "measure_sizes"),
    "k3d": Group("Power of a k3d cluster, at its recorded pace", "k3d", "measure_power"),
    "k3d-stop": Group("A whole stop of a k3d cluster, at its recorded pace", "k3d", "measure_whole_stop"),
    "loop": Group("The event loop", "blocking", "measure_blocking"),
    "many": Group("Many stops at once", "many_stops", "measure_many"),
    "migration": Group("The migration report, and copies of KECS's store", "migration", "measure_migration"),
    "sandbox": Group("A sandbox cluster", "sandbox_process", "measure_sandbox"),
    "sandbox-api": Group("The sandbox's API server", "sandbox_api", "measure_api"),
}
