"""What a failure is told with beside the engine's own words."""

import shlex
import sys
from pathlib import Path
from unittest.mock import Mock

from ops.progress import BUILD_PRINTS
from ops.refusals import explained


def told(message: str) -> str:
    return explained(Mock(), Path("/nowhere"), "dev", message)


def test_a_build_that_failed_is_told_with_the_last_lines_that_it_prints() -> None:
    program = "import os; [print(f'line {each}') for each in range(50)]; print(os.environ['DOCKER_BUILDKIT'], 'no such package'); exit(1)"
    command = f"DOCKER_BUILDKIT=1 {shlex.join([sys.executable, '-c', program])}"
    lines = told(BUILD_PRINTS + command).splitlines()
    assert lines[0] == BUILD_PRINTS + command
    assert lines[-1] == "    1 no such package"
    assert lines[1] == "    line 31"


def test_where_the_build_can_not_be_asked_there_is_its_command() -> None:
    message = f"{BUILD_PRINTS}DOCKER_BUILDKIT=1 /no/such/docker build /context"
    assert told(message) == message


def test_a_client_that_can_not_build_so_is_told_what_it_lacks() -> None:
    program = "print('ERROR: BuildKit is enabled but the buildx component is missing or broken.'); exit(1)"
    said = told(f"{BUILD_PRINTS}DOCKER_BUILDKIT=1 {shlex.join([sys.executable, '-c', program])}")
    assert said.splitlines()[1:] == ["    (This machine's docker client needs the buildx component for that.)"]
