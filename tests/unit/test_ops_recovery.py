"""What `make up` decides to do before it calls Pulumi: pure decisions over a state, a look at the engine, locks and processes."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ops.checkpoint import Checkpoint, KnownContainer, KnownImage
from ops.engine import Observed, SeenContainer, SeenNetwork
from ops.processes import Lock, Process, is_left_alone, is_stale, survivors
from ops.recovery import detached, plan, sort_locks

PROJECT, STACK = "whatsapp-dev", "dev"
FOLDER = Path("/home/someone/environment")

KNOWN = KnownContainer(id="c1", name="whatsapp-dev-db-1", project=PROJECT, service="db", must_run=True, image_urns=())
SEEN = SeenContainer(
    id="c1", name="whatsapp-dev-db-1", project=PROJECT, service="db", stack=STACK, state="running", networks=frozenset({"n1"})
)
NETWORK = SeenNetwork(id="n1", name="whatsapp-dev_app-network", project=PROJECT, stack=STACK)
CHECKPOINT = Checkpoint(
    exists=True,
    resources=9,
    containers=(KNOWN,),
    networks={"n1": "whatsapp-dev_app-network"},
    volumes=frozenset({"whatsapp-dev_postgres_adk_data"}),
    images=(KnownImage("sha256:1", "postgres:16", built=False),),
)
OBSERVED = Observed(
    containers=(SEEN,),
    networks=(NETWORK,),
    volumes=frozenset({"whatsapp-dev_postgres_adk_data"}),
    images={"sha256:1": frozenset({"postgres:16"})},
)


def test_an_engine_that_has_what_the_state_has_asks_for_nothing() -> None:
    found = plan(CHECKPOINT, OBSERVED, PROJECT, STACK)
    assert found == type(found)(), f"nothing is amiss, yet the plan is {found}"
    assert not found.refresh


def test_a_missing_container_network_volume_or_image_asks_for_a_refresh_and_is_named() -> None:
    for without, word in (("containers", "db"), ("networks", "app-network"), ("volumes", "postgres_adk_data"), ("images", "postgres:16")):
        found = plan(CHECKPOINT, replace(OBSERVED, **{without: type(getattr(OBSERVED, without))()}), PROJECT, STACK)
        assert found.refresh, f"without its {without} the stack would stay broken: plain `up` does not look at the engine"
        assert word in " ".join(found.drift), f"the user is not told which of the {without} is gone"


def test_an_image_whose_name_leads_to_another_one_by_now_asks_for_a_refresh() -> None:
    def drift(name: str, identifier: str = "sha256:1", built: bool = False) -> tuple[str, ...]:
        pulled = {
            "sha256:1": frozenset[str](),
            "sha256:2": frozenset({"postgres:16", "quay.io/minio/minio:latest", "localhost:5000/redis:latest"}),
        }
        state = replace(CHECKPOINT, images=(KnownImage(identifier, name, built),))
        return plan(state, replace(OBSERVED, images=pulled), PROJECT, STACK).drift

    for name in ("postgres:16", "docker.io/library/postgres:16", "quay.io/minio/minio", "localhost:5000/redis"):
        assert drift(name) == (f"image {name} is another one by now",), "the containers would run the old image for ever"
        assert drift(name, "sha256:2") == ()
        assert drift(name, built=True) == (), "its tag names its content: another build of the same content is as good"
    for name in ("redis:7", f"postgres@sha256:{'1' * 64}", f"postgres:16@sha256:{'1' * 64}"):
        assert drift(name) == (), f"{name} leads to no other image"


def test_a_container_that_was_stopped_is_started_and_not_refreshed() -> None:
    for state in ("exited", "paused"):
        stopped = replace(SEEN, state=state)
        found = plan(CHECKPOINT, replace(OBSERVED, containers=(stopped,)), PROJECT, STACK)
        assert found.stopped == (stopped,)
        assert not found.refresh, "a refresh would replace it, and everything that depends on it"


def test_a_container_that_no_start_can_mend_asks_for_a_refresh() -> None:
    for state in ("dead", "removing"):
        found = plan(CHECKPOINT, replace(OBSERVED, containers=(replace(SEEN, state=state),)), PROJECT, STACK)
        assert found.drift == (f"db is {state}",)


def test_a_container_whose_first_start_failed_is_left_to_the_up_which_replaces_it() -> None:
    found = plan(CHECKPOINT, replace(OBSERVED, containers=(replace(SEEN, state="created"),)), PROJECT, STACK)
    assert found == type(found)()


def test_a_container_in_a_crash_loop_is_left_to_the_health_gate() -> None:
    found = plan(CHECKPOINT, replace(OBSERVED, containers=(replace(SEEN, state="restarting"),)), PROJECT, STACK)
    assert not found.refresh, "a refresh sees nothing wrong with it and costs seconds; the gate names the cause"


def test_a_container_that_need_not_run_may_be_stopped() -> None:
    job = replace(CHECKPOINT, containers=(replace(KNOWN, must_run=False),))
    found = plan(job, replace(OBSERVED, containers=(replace(SEEN, state="exited"),)), PROJECT, STACK)
    assert found == type(found)()


def test_a_container_of_ours_that_the_state_does_not_know_is_removed() -> None:
    left = replace(SEEN, id="c2", name="whatsapp-dev-redis-1", service="redis")
    found = plan(CHECKPOINT, replace(OBSERVED, containers=(SEEN, left)), PROJECT, STACK)
    assert found.orphans == (left,), "its name would be in the way of every later `up`"
    assert not found.foreign


def test_with_the_state_lost_all_our_containers_and_the_network_are_removed() -> None:
    found = plan(Checkpoint(), OBSERVED, PROJECT, STACK)
    assert found.orphans == (SEEN,)
    assert found.orphan_networks == (NETWORK,), "the engine refuses a second network of that name"


def test_a_container_of_a_compose_project_that_is_not_ours_is_never_touched() -> None:
    for stack in (None, "prod"):
        foreign = replace(SEEN, id="c2", stack=stack)
        found = plan(CHECKPOINT, replace(OBSERVED, containers=(SEEN, foreign)), PROJECT, STACK)
        assert found.foreign == (foreign,)
        assert found.orphans == ()


def test_a_network_of_a_compose_project_that_is_not_ours_is_never_touched() -> None:
    foreign = replace(SEEN, id="c2", stack=None)
    for network, containers in (
        (replace(NETWORK, stack=None), (foreign,)),
        (replace(NETWORK, stack=None, name="whatsapp-dev_another"), ()),
        (replace(NETWORK, stack="prod"), ()),
        (replace(NETWORK, project="whatsapp-other"), ()),
        (replace(NETWORK, project=None), ()),
    ):
        observed = replace(OBSERVED, networks=(network,), containers=containers)
        assert plan(Checkpoint(), observed, PROJECT, STACK).orphan_networks == ()


def test_a_network_that_a_compose_project_left_without_containers_is_removed() -> None:
    left = replace(NETWORK, stack=None)
    found = plan(Checkpoint(), replace(OBSERVED, networks=(left,), containers=()), PROJECT, STACK)
    assert found.orphan_networks == (left,), "the engine refuses a second network of that name"


def test_an_open_creation_is_cleared() -> None:
    assert plan(replace(CHECKPOINT, pending_creates=("urn:x",)), OBSERVED, PROJECT, STACK).clear_pending


IDS = st.sampled_from(["c1", "c2", "c3", "c4"])


@given(known=st.frozensets(IDS), seen=st.dictionaries(IDS, st.sampled_from([None, "dev", "prod"])))
def test_only_containers_that_are_ours_and_unknown_are_ever_removed(known: frozenset[str], seen: dict[str, str | None]) -> None:
    checkpoint = Checkpoint(containers=tuple(replace(KNOWN, id=each) for each in sorted(known)))
    observed = Observed(containers=tuple(replace(SEEN, id=each, stack=stack) for each, stack in sorted(seen.items())))
    removed = {container.id for container in plan(checkpoint, observed, PROJECT, STACK).orphans}
    assert removed == {each for each, stack in seen.items() if stack == "dev" and each not in known}


def test_a_running_container_off_the_network_is_found_for_no_refresh_sees_it() -> None:
    lost = replace(SEEN, networks=frozenset())
    assert detached(CHECKPOINT, replace(OBSERVED, containers=(lost,))) == [lost]
    assert detached(CHECKPOINT, OBSERVED) == []


def test_with_the_network_itself_gone_containers_are_left_to_the_refresh() -> None:
    lost = replace(SEEN, networks=frozenset())
    assert detached(CHECKPOINT, replace(OBSERVED, containers=(lost,), networks=())) == []


LOCK = Lock(pid=10, host="here", user="someone", since="2026-01-01T00:00:00Z")
PULUMI = Process(pid=10, parent=9, arguments=("/opt/bin/pulumi", "up"), directory=str(FOLDER))


def test_a_lock_is_live_while_its_pulumi_runs() -> None:
    assert not is_stale(LOCK, {10: PULUMI}, "here")


def test_a_lock_is_stale_when_its_process_is_gone_or_has_become_another_program() -> None:
    assert is_stale(LOCK, {}, "here")
    assert is_stale(LOCK, {10: replace(PULUMI, arguments=("/usr/bin/vim",))}, "here"), "the pid was given to another program"


def test_a_lock_of_another_machine_is_never_taken_for_stale() -> None:
    assert not is_stale(LOCK, {}, "elsewhere")


def test_locks_are_told_apart() -> None:
    other = replace(LOCK, pid=11)
    found = sort_locks([LOCK, other], {10: PULUMI}, "here")
    assert (found.live, found.stale) == ((LOCK,), (other,))


PLUGIN = Process(pid=20, parent=1, arguments=("/home/x/plugins/pulumi-resource-docker", "127.0.0.1:1"), directory=str(FOLDER))
HOST = Process(pid=21, parent=1, arguments=("python3", "/cache/lib/language_host.py", "127.0.0.1:1"), directory=str(FOLDER))


def test_plugins_and_language_hosts_that_outlive_their_pulumi_are_found() -> None:
    assert survivors([PLUGIN, HOST], FOLDER) == [PLUGIN, HOST]


def test_plugins_of_a_live_run_are_left_alone() -> None:
    wrapped = replace(HOST, parent=22)
    shell = Process(pid=22, parent=10, arguments=("/bin/sh", "pulumi-language-python"), directory=str(FOLDER))
    assert survivors([PULUMI, replace(PLUGIN, parent=10), wrapped, shell], FOLDER) == []


def test_plugins_of_another_project_and_other_programs_are_left_alone() -> None:
    editor = Process(pid=30, parent=1, arguments=("/usr/bin/python3", "notes.py"), directory=str(FOLDER))
    assert survivors([replace(PLUGIN, directory="/home/someone/elsewhere"), editor], FOLDER) == []


def test_a_run_whose_terminal_is_gone_is_told_from_one_that_somebody_watches() -> None:
    make = Process(pid=9, parent=8, arguments=("make", "up"), directory=str(FOLDER))
    assert not is_left_alone(PULUMI, {9: make})
    assert is_left_alone(replace(PULUMI, parent=1), {1: replace(make, pid=1)})
    assert is_left_alone(PULUMI, {})
