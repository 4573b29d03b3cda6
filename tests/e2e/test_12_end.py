"""What is left at the end."""

from tests.e2e.environment import Stack


def test_a_wipe_that_is_not_agreed_to_removes_nothing(stack: Stack) -> None:
    before = stack.picture()
    refused = stack.make("wipe")
    stack.settled = True
    assert refused.code != 0, refused.told
    assert "Nothing was removed" in refused.output, refused.told
    assert stack.picture() == before


def test_a_wipe_removes_containers_network_and_volumes_of_its_stack(stack: Stack) -> None:
    stack.settled = False
    wiped = stack.make("wipe", YES="1")
    assert wiped.code == 0, wiped.told
    left = stack.picture()
    assert (left.containers, left.networks, left.volumes) == ({}, {}, frozenset()), f"something is left:\n{wiped.told}"


def test_the_working_tree_is_clean_under_git_after_all_of_it(shared: Stack) -> None:
    status = shared.copy.git_status()
    assert status == "", f"git shows changes:\n{status}{shared.copy.run('git', 'diff').output}"
