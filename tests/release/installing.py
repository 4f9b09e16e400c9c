"""The wheel, built from this checkout and installed in an environment of its own."""

import subprocess
import sys
import venv
from pathlib import Path
from site import getsitepackages

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
    return ended.stdout


def pip(python: Path, *arguments: str | Path, cwd: Path) -> None:
    """This environment's pip, working on that of ``python``."""
    run(sys.executable, "-m", "pip", "--python", python, *arguments, "--quiet", "--no-input", cwd=cwd)


def build_wheel(directory: Path) -> Path:
    """The wheel as the Dockerfile and docs/releasing.md build it: offline, with what the lock file has."""
    pip(
        Path(sys.executable),
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        directory,
        ROOT,
        cwd=directory,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel


def new_environment(directory: Path) -> Path:
    """The Python of an empty environment."""
    venv.create(directory, with_pip=False)
    return directory / "bin" / "python"


def install_beside_our_packages(wheel: Path, directory: Path) -> Path:
    """The Python of an environment with the wheel, which finds its dependencies where the tests have them.

    This checkout is not among them: a path in a .pth file is searched, but .pth files in it are not read.
    """
    python = new_environment(directory)
    (site_packages,) = (directory / "lib").glob("python*/site-packages")
    (site_packages / "dependencies.pth").write_text("\n".join(getsitepackages()))
    pip(python, "install", "--no-index", "--no-deps", wheel, cwd=directory)
    return python


def install_from_scratch(wheel: Path, directory: Path) -> Path:
    """The Python of an environment with the wheel and what the lock file says, downloaded and checked by hash."""
    python = new_environment(directory)
    pip(python, "install", "--require-hashes", "-r", ROOT / "requirements-service.lock", cwd=directory)
    pip(python, "install", "--no-index", "--no-deps", wheel, cwd=directory)
    return python
