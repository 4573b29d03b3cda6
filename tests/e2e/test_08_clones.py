"""A second clone of the project on the same engine, with a stack of the same name."""

import os
from pathlib import Path

from tests.e2e.environment import Stack
from tests.e2e.project import end_processes, make_copy


def test_a_second_clone_does_not_touch_the_stack_of_the_first_and_says_whose_it_is(stack: Stack, tmp_path: Path) -> None:
    clone = make_copy(tmp_path / "clone", os.environ)
    second = Stack(stack.name, stack.project, clone, stack.client)
    second.settings["EVOLUTION"] = "simulator"
    second.write()
    before, credentials = stack.picture(), stack.credentials()
    try:
        for target in ("up", "down"):
            refused = second.fails(target)
            refused.assert_tells(
                f"Stack {stack.name} of the project in {stack.copy.folder} is on this engine",
                "nothing was changed",
                "PROJECT_NAME",
                f"`make down STACK={stack.name}` in {stack.copy.folder}",
            )
            refused.assert_soon()
        assert second.make("wipe", YES="1").code != 0, "it removed the first one's data"
    finally:
        end_processes(clone)
    assert stack.picture() == before
    stack.assert_works()
    assert stack.credentials() == credentials
