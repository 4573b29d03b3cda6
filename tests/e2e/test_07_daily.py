"""What a developer does every day on the running stack: look, run a command, build again, scale."""

import json
import re

from tests.e2e.environment import EIGHT, Stack


def test_a_container_that_somebody_removed_is_told_by_status_and_doctor_and_made_again(stack: Stack) -> None:
    stack.settled = False
    stack.client.api.remove_container(stack.container("audio-converter").id, force=True)
    shown = stack.make("status", ONCE="1")
    assert shown.code != 0, shown.told
    (row,) = (line.split() for line in shown.output.splitlines() if line.startswith("audio-converter"))
    assert row[2] == "gone", shown.told
    looked = stack.make("doctor")
    assert looked.code != 0, looked.told
    looked.assert_tells("audio-converter: is gone", f"make up STACK={stack.name}")
    stack.up().assert_tells("repair: audio-converter is gone")
    stack.assert_works()


def test_a_command_runs_inside_a_service_and_its_exit_code_is_its_own(stack: Stack) -> None:
    ran = stack.make("exec", SERVICE="redis", CMD="printenv TZ")
    assert ran.code == 0, ran.told
    assert "/" in ran.output, ran.told
    failed = stack.copy.run("python3", "ops/bootstrap.py", "exec", "--stack", stack.name, "--service", "app", "--", "sh", "-c", "exit 7")
    assert failed.code == 7, failed.told
    asked = stack.copy.run("python3", "ops/bootstrap.py", "psql", "--stack", stack.name, "--", "-Atc", "SELECT 6 * 7")
    assert asked.output.strip() == "42", asked.told


def test_a_rebuilt_application_serves_again_and_nobody_else_was_touched(stack: Stack) -> None:
    before = stack.identities()
    ran = stack.make("rebuild", SERVICE="app")
    assert ran.code == 0, ran.told
    assert re.search(r"image app +built", ran.output), ran.told
    stack.assert_works()
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} <= {"app"}, ran.told


def test_the_application_is_scaled_by_one_command_that_writes_it_down_and_back(stack: Stack) -> None:
    stack.settled = False
    ran = stack.make("scale", APP="2")
    assert ran.code == 0, ran.told
    assert "APP_REPLICAS=2" in stack.settings_file.read_text().splitlines()
    shown = stack.make("status", JSON="1")
    assert shown.code == 0, shown.told
    rows = [(row["service"], row["replica"], row["state"]) for row in json.loads(shown.output)]
    assert rows == sorted([*((name, 1, "running") for name in EIGHT), ("app", 2, "running")])
    second = stack.make("exec", SERVICE="app", NUMBER="2", CMD="hostname -i")
    assert second.output.strip() == stack.inside("app", "hostname", "-i", number=2)[1].strip(), second.told
    back = stack.make("scale", APP="1")
    assert back.code == 0, back.told
    stack.write()
    stack.settled = True
    stack.assert_works()
