"""`slipway launch` and `slipway profile explain` as their user calls them, on a running platform."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from laptops import SLIPWAY
from live import Live
from slipway.cli.launch import command as launch_command
from slipway.cli.profile import command as profile_command
from slipway.config.errors import UserError
from slipway.ops.launching import submission
from waiting import until

Shell = Callable[..., Result]


@pytest.fixture
def shell(platform: Live, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Calls a verb in a shell that took the platform's addresses; in this process, to save its start."""
    for name, value in platform.env.items():
        monkeypatch.setenv(name, value)

    def call(command: click.Command, *arguments: str) -> Result:
        return CliRunner().invoke(command, arguments)

    return call


def run_ids(platform: Live) -> set[str]:
    return {run["runId"] for run in platform.runs() if "case" not in run["tags"]}


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("--assets tal_one", "the platform has no asset 'tal_one'", "did you mean 'tall_one'?"),
        ("--assets plain_one,nothing_like_it", "no asset 'nothing_like_it'", "broken does not load, and may"),
        ("--assets outside", "asset 'outside' is external", "select what is made of it"),
        ("--assets plain_one,other_one", "several code locations: chosen, other", "--location"),
        ("--assets twin_one", "'twin_one' is made in one step with twin_two", "select all of them"),
        ("--assets group:nope", "selects nothing", "keys with commas"),
        ("--assets +(", "Invalid selection string: +(", "keys with commas"),
        ("--assets plain_one --location brokn", "no code location 'brokn'", "did you mean 'broken'?"),
        ("--assets plain_one --location broken", "does not load: RuntimeError: the roof is off", "locations"),
        ("--assets plain_one --location other", "location 'other' has no asset 'plain_one'", "there is: other_letters, other_one"),
        ("--job bothh --location chosen", "has no job 'bothh'", "did you mean 'both'?"),
        ("--job both", "job 'both' is in several code locations: chosen, other", "name one"),
        ("--job looking --assets plain_one", "job 'looking' is no job of assets", "without --assets"),
        ("--job nightly --assets plain_one", "job 'nightly' does not have plain_one", "it has: tall_one"),
        ("--assets plain_one --partition a", "plain_one of chosen has no partitions", "leave out"),
        ("--assets other_one --partition a", "other_one of other has no partitions", "leave out"),
        ("--assets other_letters", "other_letters of other has partitions: a, b, c", "name --partition"),
        ("--job looking --partition a", "job looking of chosen has no partitions", "leave out"),
        ("--assets days", "days of chosen has partitions: 2024-01-01, 2024-01-02, … 2024-01-12 (12)", "name"),
        ("--job spelling", "job spelling of chosen has partitions: a, b, c", "name --partition"),
        ("--assets days --partition 2024-02-01", "no partition '2024-02-01'", "did you mean '2024-01-01'?"),
        ("--assets days,tall_letters --partition a", "partitioned in 2 ways", "one after the other"),
        ("--assets days --partition-range 2024-01-02", "is no range", "FIRST...LAST"),
        ("--assets days --partition-range 2024-01-02...x", "there is no partition 'x'", "2024-01-12 (12)"),
        ("--assets days --partition-range 2024-01-03...2024-01-02", "is empty", "first one comes first"),
        ("--assets days --partition 2024-01-02 --partition-range a...b", "exclude each other", "one of them"),
        ("--assets plain_one --profile smal", "no resource profile 'smal'", "did you mean 'small'?"),
        ("--assets plain_one --tags slipway/profile=smal", "no resource profile 'smal'", "did you mean 'small'?"),
        ("--assets plain_one --profile impossible", "requests 4096 GiB of memory, this host has", "smaller"),
        ("--assets plain_one --profile small --tags slipway/profile=tall", "disagree", None),
        ("--assets plain_one --tags slipway/frozen={}", "slipway/frozen is the launcher's own", "to choose"),
        ("--assets plain_one --tags x", "--tags x is no tag", "KEY=VALUE"),
        ("--job speaking", "Missing required config entry", "--config FILE"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_and_nothing_is_submitted(
    platform: Live, shell: Shell, arguments: str, message: str, hint: str | None
) -> None:
    before = run_ids(platform)
    error = shell(launch_command, *arguments.split()).exception
    assert isinstance(error, UserError), error
    assert message in error.message
    assert (hint or "") in (error.hint or "")
    assert run_ids(platform) == before


@pytest.mark.parametrize("arguments", [[], ["--job", "both", "--timeout", "3"]])
def test_a_wrong_call_is_said(shell: Shell, arguments: list[str]) -> None:
    assert shell(launch_command, *arguments).exit_code == 2


def test_what_fails_ends_with_1_after_its_retry_and_says_why_and_where(platform: Live, shell: Shell) -> None:
    done = shell(launch_command, "--assets", "failing", "--tags", "dagster/max_retries=1", "--wait")
    assert done.exit_code == 1, done.output
    first = done.output.split("submitted run ")[1][:36]
    again = done.output.split("failed, retried as run ")[1][:36]
    assert f"run {again}: failed at attempt 2 after" in done.output
    assert f"{again} ({platform.url}/runs/{again})\nfailing: ValueError: the well is dry" in done.output
    assert {platform.run(run_id)["status"] for run_id in (first, again)} == {"FAILURE"}


def test_a_range_is_one_run_where_the_backfill_policy_says_so(platform: Live, shell: Shell) -> None:
    done = shell(
        launch_command,
        "--assets",
        "whole",
        "--partition-range",
        "2024-01-02...2024-01-04",
        "--wait",
        "--json",
    )
    result = json.loads(done.stdout)
    assert (done.exit_code, result["succeeded"], result["backfill_id"]) == (0, True, None)
    assert "with profile 'small' (location)" in done.stderr
    made = platform.run(result["run_id"])["assetMaterializations"]
    assert sorted(one["partition"] for one in made) == ["2024-01-02", "2024-01-03", "2024-01-04"]


def test_a_range_is_a_backfill_elsewhere_and_each_run_has_tags_and_profile(
    platform: Live, shell: Shell
) -> None:
    # A range of two dimensions is a range of each.
    arguments = ["--assets", "grid", "--partition-range", "2024-01-02|eu...2024-01-03|eu"]
    done = shell(launch_command, *arguments, "--profile", "asked", "--tags", "why=test", "--wait", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["url"] == f"{platform.url}/runs/b/{result['backfill_id']}"
    assert sorted(run["partition"] for run in result["runs"]) == ["2024-01-02|eu", "2024-01-03|eu"]
    assert {(run["profile"], run["profile_source"]) for run in result["runs"]} == {("asked", "run")}
    assert len(platform.runs(why="test")) == 2


def test_partition_and_config_reach_the_run(platform: Live, shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("ops: {speak: {config: {text: hello}}}\n")
    spoken = json.loads(shell(launch_command, "--job", "speaking", "--config", str(file), "--json").stdout)
    lettered = json.loads(shell(launch_command, "--job", "lettered", "--partition", "b", "--json").stdout)
    assert (spoken["over"], spoken["succeeded"]) == (False, None)
    _, run = platform.over([spoken["run_id"], lettered["run_id"]])
    assert [one["partition"] for one in run["assetMaterializations"]] == ["b"]
    assert run["tags"]["slipway/profile_source"] == "job"

    file.write_text("[]")
    refused = shell(launch_command, "--job", "speaking", "--config", str(file)).exception
    assert "is no run configuration" in str(refused)


def test_ctrl_c_and_a_timeout_end_the_waiting_and_not_the_run(platform: Live, tmp_path: Path) -> None:
    """On a terminal, where the progress is drawn in place."""
    signal_file = tmp_path / "go on"
    config = tmp_path / "config.yaml"
    config.write_text(f"ops: {{holding: {{config: {{file: '{signal_file}'}}}}}}\n")
    master, slave = pty.openpty()
    arguments = ["launch", "--assets", "holding", "--config", str(config), "--wait"]
    with subprocess.Popen(
        [SLIPWAY, *arguments],
        env={**platform.env, "COLUMNS": "200", "TERM": "xterm"},
        stdout=slave,
        stderr=slave,
    ) as waiting:
        os.close(slave)
        try:
            seen = b""
            while b"running with profile" not in seen:
                seen += os.read(master, 4096)
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(30) == 130
        finally:
            waiting.kill()
    os.set_blocking(master, False)
    time.sleep(0.1)
    seen += os.read(master, 65536)
    os.close(master)
    text = seen.decode()
    assert "not waiting any longer" in text
    run_id = text.split("submitted run ")[1][:36]
    assert f"run {run_id} goes on ({platform.url}/runs/{run_id})" in text
    assert platform.run(run_id)["status"] == "STARTED"

    late = platform.cli(*arguments, "--timeout", "0.1")
    assert late.returncode == 124
    assert "not over after 0.1 s; run " in late.stdout
    second = late.stdout.split("submitted run ")[1][:36]
    signal_file.touch()
    platform.over([run_id, second])


def test_a_silent_daemon_is_warned_of(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "DAEMON_SILENCE_SECONDS", -1)
    done = shell(launch_command, "--assets", "plain_one")
    assert done.exit_code == 0
    assert "until one runs, this stays queued" in done.stderr


def test_profile_explain_tells_each_rules_wish(platform: Live, shell: Shell) -> None:
    told = json.loads(
        shell(profile_command, "explain", "--job", "both", "--location", "chosen", "--json").stdout
    )
    assert (told["profile"]["name"], told["rule"]) == ("tall+wide", "asset")
    assert [(rule["rule"], rule["asks"], rule["decides"]) for rule in told["rules"]] == [
        ("run", [], False),
        ("job", [], False),
        ("asset", ["tall", "wide"], True),
        ("location", ["small"], False),
        ("platform", ["base"], False),
    ]
    assert told["assets"] == {"tall": ["tall_one"], "wide": ["wide_one"]}
    assert told["profile"]["limits"] == {"cpu": "1", "memory": "1536Mi", "scratch": "30Gi"}

    text = shell(profile_command, "explain", "--job", "nightly", "--profile", "asked").stdout
    assert "job nightly of chosen: profile 'asked', by rule 'run'" in text
    assert "asset     tall (tall_one)  not asked, since 'run' is nearer" in text
    text = shell(profile_command, "explain", "--asset", "other_one").stdout
    assert "other_one of other: profile 'base', by rule 'platform' (defaults.profile)" in text


def test_profile_explain_of_a_run_tells_what_was_frozen(platform: Live, shell: Shell) -> None:
    (run,) = platform.over([platform.launch("nightly")])
    told = json.loads(shell(profile_command, "explain", "--run", run["runId"], "--json").stdout)
    assert (told["profile"]["name"], told["rule"], told["differs_now"]) == ("nightly", "job", "")
    assert told["profile"]["duckdb"]["memory_limit"]["value"] == run["tags"]["slipway/duckdb_memory_limit"]
    text = shell(profile_command, "explain", "--run", run["runId"]).stdout
    assert "by rule 'job'" in text
    assert "asked for nothing: run" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--job", "nightli"], "the platform has no job 'nightli'"),
        (["--asset", "tal_one"], "the platform has no asset 'tal_one'"),
        (["--job", "nightly", "--location", "broken"], "does not load: RuntimeError: the roof is off"),
        (["--run", "nosuch"], "there is no run 'nosuch'"),
    ],
)
def test_profile_explain_says_what_is_not_there(shell: Shell, arguments: list[str], message: str) -> None:
    error = shell(profile_command, "explain", *arguments).exception
    assert isinstance(error, UserError)
    assert message in error.message


def test_profile_explain_of_a_run_that_was_refused_says_how_to_look(platform: Live, shell: Shell) -> None:
    refused = platform.launch("nightly", tags={"slipway/profile": "nosuch"})
    until(lambda: platform.run(refused)["status"] == "FAILURE", 60, "the launch is refused")
    error = shell(profile_command, "explain", "--run", refused).exception
    assert isinstance(error, UserError)
    assert "(FAILURE) was not launched by Slipway, or not yet" in error.message
    assert "slipway profile explain --location chosen --job nightly" in str(error.hint)


def test_dagsters_own_commands_work_in_a_locations_folder(platform: Live) -> None:
    """They execute in their own process: the platform sees what they made, and gave them no profile."""
    folder = platform.project / "chosen"
    (environment,) = (platform.up.state / "cache" / "environments").glob("chosen-*")
    alone = {"PATH": os.environ["PATH"], "HOME": platform.env["HOME"]}

    def dagster(arguments: str, env: dict[str, str]) -> str:
        done = subprocess.run(
            [environment / "bin" / "dagster", *arguments.split(), "-m", "chosen.definitions"],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    assert "Validation successful" in dagster("definitions validate", alone)
    before = run_ids(platform)
    made = dagster(
        "asset materialize --select whole --partition-range 2024-01-05...2024-01-06", dict(platform.env)
    )
    assert "RUN_SUCCESS" in made
    (run_id,) = run_ids(platform) - before
    run = platform.run(run_id)
    assert run["status"] == "SUCCESS"
    assert "slipway/profile" not in run["tags"]
