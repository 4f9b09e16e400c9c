"""Builds the real components from pinned Go modules, once per version; afterwards they come from the cache.

Each directory below ``modules/`` pins one module with the sums of everything it needs. A build's directory is named
after those pins and the flags, so another version never meets an old binary.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.errors import RealError
from tests.real.places import BINARIES

_HERE = Path(__file__).parent
_FREE_BYTES = 12 * 1024**3
_BUILD_SECONDS = 1800
_VELERO = "v1.18.3"
#: Which Kubernetes and MinIO: ``current``, or ``other`` for KECS's k3s line and the last MinIO of its public sources.
LEG = os.environ.get("KECS_STATE_REAL_LEG", "current")


@dataclass(frozen=True)
class Build:
    """One module: its directory here, the commands built from it, and the version it says of itself."""

    directory: Path
    packages: tuple[str, ...]
    stamps: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    seconds: int = 60
    """About how long the first build takes on two cores."""

    @property
    def place(self) -> Path:
        """Where its binaries lie once they are built."""
        pins = [self.directory / "go.mod", self.directory / "go.sum", *sorted(self.directory.glob("*.go"))]
        digest = hashlib.sha256()
        for pin in pins:
            digest.update(pin.read_bytes() if pin.exists() else b"")
        digest.update(repr((self.packages, self.stamps)).encode())
        return BINARIES / f"{self.directory.name}-{digest.hexdigest()[:12]}"


def _kubernetes_stamps(version: str) -> tuple[str, ...]:
    fields = {
        "gitVersion": version,
        "gitMajor": "1",
        "gitMinor": version.split(".")[1],
        "gitCommit": "0" * 40,
        "gitTreeState": "archive",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/client-go/pkg/version", "k8s.io/component-base/version")
    return tuple(f"{package}.{key}={value}" for package in packages for key, value in fields.items())


def _stamps(package: str, **values: str) -> tuple[str, ...]:
    return tuple(f"{package}.{key}={value}" for key, value in values.items())


def _kubernetes(module: str, version: str) -> Build:
    programs = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
    packages = tuple(f"k8s.io/kubernetes/cmd/{name}" for name in programs)
    return Build(_HERE / "modules" / module, packages, _kubernetes_stamps(version), seconds=300)


def _minio(module: str, version: str, tag: str, commit: str) -> Build:
    stamps = _stamps(
        "github.com/minio/minio/cmd", Version=version, ReleaseTag=tag, CommitID=commit, ShortCommitID=commit[:12]
    )
    return Build(_HERE / "modules" / module, ("github.com/minio/minio",), stamps, seconds=100)


#: Of this leg, for people to read.
VERSIONS = {
    "kubernetes": "v1.34.4" if LEG == "current" else "v1.31.14",
    "velero": _VELERO,
    "minio": "2025-09-07" if LEG == "current" else "2026-02-12",
}
_LEGS = {
    "current": (
        _kubernetes("k8s", "v1.34.4"),
        _minio(
            "minio", "2025-09-07T16:13:09Z", "RELEASE.2025-09-07T16-13-09Z", "07c3a429bfed433e49018cb0f78a52145d4bedeb"
        ),
    ),
    "other": (
        _kubernetes("k8s-1.31", "v1.31.14"),
        _minio(
            "minio-2026",
            "2026-02-12T20:18:48Z",
            "DEVELOPMENT.2026-02-12T20-18-48Z",
            "7aac2a2c5b7c882e68c1ce017d8256be2feea27f",
        ),
    ),
}
_PLUGIN = "github.com/vmware-tanzu/velero-plugin-for-aws"
_VELERO_COMMANDS = "github.com/vmware-tanzu/velero/cmd"
BUILDS = (
    Build(_HERE / "pause", (".",), seconds=5),
    Build(_HERE / "modules/etcd", ("go.etcd.io/etcd/server/v3",), renamed={"v3": "etcd", "server": "etcd"}),
    *_LEGS[LEG],
    Build(
        _HERE / "modules/velero",
        tuple(f"{_VELERO_COMMANDS}/{name}" for name in ("velero", "velero-restore-helper", "velero-helper")),
        _stamps(
            "github.com/vmware-tanzu/velero/pkg/buildinfo",
            Version=_VELERO, ImageRegistry="velero", GitSHA=_VELERO, GitTreeState="clean",
        ),
        seconds=120,
    ),
    Build(_HERE / "modules/aws", (f"{_PLUGIN}/velero-plugin-for-aws", f"{_PLUGIN}/hack/cp-plugin"), seconds=100),
    Build(_HERE / "modules/coredns", ("github.com/coredns/coredns",), seconds=80),
)  # fmt: skip


def binary(name: str) -> Path:
    """The built program of that name; raises when it was never built."""
    for build in BUILDS:
        if (found := build.place / name).exists():
            return found
    raise RealError(f"the real {name} is not built", "Run: make real-binaries")


def build_all() -> None:
    """Build what is missing, saying what and for how long; the builds of other versions stay for who needs them."""
    missing = [build for build in BUILDS if not build.place.exists()]
    if missing:
        _require_tools()
        with _alone():
            for build in missing:
                _build(build)


def _require_tools() -> None:
    if shutil.which("go") is None:
        raise RealError("Go is not installed", "Install Go 1.26 or newer; the real components are built from source.")
    BINARIES.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(BINARIES).free
    if free < _FREE_BYTES:
        raise RealError(
            f"building needs {_FREE_BYTES >> 30} GiB of disk, {BINARIES} has {free >> 30}",
            "Make room, or set KECS_STATE_REAL_HOME to a larger disk.",
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Two builds at once would only wait for each other's cores; the second finds everything built."""
    with (BINARIES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(build: Build) -> None:
    if build.place.exists():
        return
    print(f"building {build.directory.name}, about {build.seconds} s ...", end=" ", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=BINARIES) as scratch:
        # A copy, since Go may write to the directory it builds in.
        source, made = Path(scratch) / "source", Path(scratch) / "made"
        shutil.copytree(build.directory, source)
        made.mkdir()
        _run_go(build, source, made)
        for old, new in build.renamed.items():
            if (made / old).exists():
                (made / old).rename(made / new)
        made.rename(build.place)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _run_go(build: Build, source: Path, made: Path) -> None:
    flags = " ".join(["-s -w", *(f"-X {stamp}" for stamp in build.stamps)])
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
    command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", f"{made}/", *build.packages]
    try:
        result = subprocess.run(
            command, cwd=source, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RealError(f"building {build.directory.name} took more than {_BUILD_SECONDS} s") from None
    if result.returncode != 0:
        raise RealError(f"building {build.directory.name} failed: {result.stderr[-2000:]}")
