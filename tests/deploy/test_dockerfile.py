"""What the Dockerfile promises; docs/container.md has what was built and run of it."""

import re
from pathlib import Path

import pytest

from tests.deploy.dockerfile import Dockerfile, Stage, read_dockerfile

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9][\w.-]*==\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    """The one at the top of the repository."""
    return read_dockerfile(ROOT / "Dockerfile")


@pytest.fixture
def image(dockerfile: Dockerfile) -> Stage:
    """The stage that is shipped."""
    return dockerfile.last


def test_the_base_is_an_argument_pinned_to_a_version(dockerfile: Dockerfile) -> None:
    """One for all stages, so that what one builds runs in the other."""
    assert re.search(r":\d+\.\d+\.\d+-slim-\w+$", dockerfile.arguments["BASE"])
    assert {stage.base for stage in dockerfile.stages} == {"${BASE}"}


def test_packages_come_with_their_hashes(dockerfile: Dockerfile) -> None:
    """Every installation is from a lock file with hashes, or of the wheel alone and without the network."""
    runs = [run for stage in dockerfile.stages for run in stage.all("RUN")]
    installs = [run for run in runs if "pip install" in run]
    assert len(installs) == 3
    assert all("--require-hashes" in run or "--no-index --no-deps" in run for run in installs)


def test_what_is_downloaded_is_checked_before_it_may_run(dockerfile: Dockerfile) -> None:
    """k3d, for both architectures, by SHA-256."""
    (stage,) = (stage for stage in dockerfile.stages if stage.name == "k3d")
    sums = dict(argument.split("=") for argument in stage.all("ARG") if "SHA256" in argument)
    assert set(sums) == {"K3D_SHA256_AMD64", "K3D_SHA256_ARM64"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in sums.values())
    (run,) = stage.all("RUN")
    assert run.index("urlretrieve") < run.index("sha256sum --check --strict") < run.index("chmod 0755")


def test_the_image_runs_without_root_and_says_how_it_is(image: Stage) -> None:
    """A user of its own, and a health check that the program itself answers."""
    assert image.all("USER") == ["1000:1000"]
    assert image.instructions.index(("USER", "1000:1000")) > max(
        place for place, (name, _) in enumerate(image.instructions) if name == "RUN"
    )
    assert 'CMD ["kecs-state", "ready"]' in image.all("HEALTHCHECK")[0]
    assert (image.all("ENTRYPOINT"), image.all("CMD")) == (['["kecs-state"]'], ['["serve"]'])


def test_the_image_has_no_tools_of_its_making(image: Stage) -> None:
    """No compiler, no pip cache, no lists of packages; only what the other stages made."""
    (run,) = image.all("RUN")
    assert "--no-install-recommends" in run
    assert "rm -rf /var/lib/apt/lists/*" in run
    assert [source.split()[0] for source in image.all("COPY")] == ["--from=k3d", "--from=installed"]


def test_the_build_is_shown_what_it_copies_and_nothing_else(dockerfile: Dockerfile) -> None:
    """State, secrets and history stay out of every layer."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    copied = {
        source
        for stage in dockerfile.stages
        for copy in stage.all("COPY")
        if not copy.startswith("--from=")
        for source in copy.split()[:-1]
    }
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize("part", ["requirements-service.lock", "requirements-build.lock"])
def test_the_parts_of_the_lock_file_agree_with_it(part: str) -> None:
    """What ships is what was tested."""
    pins = PIN.findall((ROOT / part).read_text())
    assert pins
    assert set(pins) <= set(PIN.findall((ROOT / "requirements.lock").read_text()))
