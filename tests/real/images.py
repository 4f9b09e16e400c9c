"""Container images assembled from the built binaries, as archives that containerd imports: no registry needed."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.settings import ImageSettings
from tests.real.binaries import LEG, binary
from tests.real.errors import RealError
from tests.real.places import IMAGES

PAUSE = "registry.k8s.io/pause:3.10"
BUSYBOX = "docker.io/library/busybox:1.35"
COREDNS = "docker.io/coredns/coredns:1.14.7"
#: What the service is told to use. The other MinIO comes under another name, as a fork's image would.
STACK_IMAGES = ImageSettings(minio="kecs-state.test/minio-fork:2026-02-12") if LEG == "other" else ImageSettings()
_BUSYBOX_BINARY = Path("/bin/busybox")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """One image: files by their path in it, and how a container of it starts when nobody says otherwise."""

    tag: str
    files: dict[str, Path]
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    user: str = ""
    with_shell: bool = False
    """Whether busybox's commands are in it."""
    home: str = "/"

    def archive(self) -> Path:
        """The image as a file, named after all that is in it, made unless it is there."""
        layer = _layer(self)
        digest = hashlib.sha256(layer + self.tag.encode()).hexdigest()
        path = IMAGES / f"{self.tag.rpartition('/')[2].replace(':', '-')}-{digest[:12]}.tar"
        if not path.exists():
            IMAGES.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{id(self)}")
            unfinished.write_bytes(_archive(self, layer))
            unfinished.rename(path)
        return path


def images() -> list[Image]:
    """Everything a node of ours can run."""
    plugin = binary("velero-plugin-for-aws")
    return [
        Image(PAUSE, {"pause": binary("pause")}, ["/pause"], user="65535:65535"),
        Image(BUSYBOX, {}, command=["sh"], with_shell=True),
        Image(COREDNS, {"coredns": binary("coredns")}, ["/coredns"]),
        Image(STACK_IMAGES.minio, {"usr/bin/store": binary("minio")}, ["/usr/bin/store"], with_shell=True),
        Image(
            STACK_IMAGES.velero,
            {name: binary(name) for name in ("velero", "velero-restore-helper", "velero-helper")},
            user="cnb:cnb",
            home="/home/cnb",
        ),
        Image(
            STACK_IMAGES.velero_plugin,
            {"plugins/velero-plugin-for-aws": plugin, "bin/cp-plugin": binary("cp-plugin")},
            ["cp-plugin", "/plugins/velero-plugin-for-aws", "/target/velero-plugin-for-aws"],
            user="65532:65532",
        ),
    ]


def _layer(image: Image) -> bytes:
    """The one layer; the same files always give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for name, mode, owner in _directories(image):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, 1000 if owner else 0
            layer.addfile(entry)
        for name, content, mode in _files(image):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            layer.addfile(entry, io.BytesIO(content))
        for applet in _applets() if image.with_shell else []:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
            layer.addfile(entry)
    return buffer.getvalue()


def _directories(image: Image) -> Iterator[tuple[str, int, int]]:
    parents = {str(parent) for name in image.files for parent in Path(name).parents} - {"."}
    for name in sorted({"bin", "etc", "etc/ssl", "etc/ssl/certs"} | parents):
        yield name, 0o755, 0
    yield "tmp", 0o1777, 0
    if image.home != "/":
        yield "home", 0o755, 0
        yield image.home.strip("/"), 0o755, 1002


def _files(image: Image) -> Iterator[tuple[str, bytes, int]]:
    yield "etc/passwd", b"root:x:0:0::/:/bin/sh\ncnb:x:1002:1000::/home/cnb:/bin/sh\n", 0o644
    yield "etc/group", b"root:x:0:\ncnb:x:1000:\n", 0o644
    if _AUTHORITIES.exists():
        yield "etc/ssl/certs/ca-certificates.crt", _AUTHORITIES.read_bytes(), 0o644
    for name, path in sorted(image.files.items()):
        yield name, path.read_bytes(), 0o755
    if image.with_shell:
        yield "bin/busybox", _BUSYBOX_BINARY.read_bytes(), 0o755


def _applets() -> list[str]:
    if not _BUSYBOX_BINARY.exists():
        raise RealError("busybox is not installed", "Run: apt-get install busybox-static")
    listed = subprocess.run([_BUSYBOX_BINARY, "--list"], capture_output=True, text=True, timeout=10, check=True)
    return sorted(set(listed.stdout.split()) - {"busybox"})


def _archive(image: Image, layer: bytes) -> bytes:
    """The layout that ``docker save`` writes: a manifest, the configuration, and one uncompressed layer."""
    layer_digest = hashlib.sha256(layer).hexdigest()
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
                "Cmd": image.command,
                "User": image.user,
                "Env": [_PATH],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            "history": [{"created_by": "kecs-state tests/real"}],
        },
        sort_keys=True,
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image.tag], "Layers": [f"{layer_digest}/layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in (
            (name, configuration),
            (f"{layer_digest}/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
