"""A platform that is up, as plain processes, with a code location that was made for tests of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laptops import ROOT, SLIPWAY, Up, slipway
from waiting import until

PLATFORM = """
observability: {compute_logs: {enabled: false}}
infrastructure:
  resource_profiles:
    base: {limits: {cpu: "1", memory: 896Mi}}
    small: {limits: {cpu: "1", memory: 1Gi, ephemeral-storage: 1Gi}}
    tall: {limits: {cpu: 500m, memory: 1536Mi}}
    wide: {limits: {cpu: "1", memory: 1152Mi}}
    asked: {limits: {cpu: "1", memory: 1280Mi}}
    nightly: {limits: {cpu: "1", memory: 1408Mi}}
    impossible: {requests: {memory: 4096Gi}, limits: {memory: 4096Gi}}
code_locations:
  chosen: {path: chosen, image: {repository: r, tag: t}, profile: small, python: VERSION}
  other: {path: other, image: {repository: r, tag: t}, python: VERSION}
  broken: {path: broken, image: {repository: r, tag: t}, python: VERSION}
defaults: {profile: base}
"""

OTHER = """
import dagster as dg
from chosen.definitions import LETTERS, asset

# All partitioned assets of a location in one way: then Dagster's own job for them has partitions too.
defs = dg.Definitions(
    executor=dg.in_process_executor,
    assets=[asset("other_one"), asset("other_letters", partitions_def=LETTERS)],
    jobs=[dg.define_asset_job("both", ["other_one"])],
)
"""

Variables = dict[str, Any]


@dataclass(frozen=True)
class Live:
    """The running platform."""

    up: Up
    project: Path
    url: str
    env: Mapping[str, str]
    """Of a shell that took the platform's addresses."""

    def graphql(self, query: str, **variables: Any) -> Any:
        """The one answer of the webserver to a query."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return next(iter(answer["data"].values()))

    def cli(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """`slipway` from another shell, in another folder."""
        return subprocess.run(
            [SLIPWAY, *arguments],
            env=dict(self.env),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(
            [SLIPWAY, *arguments],
            env=dict(self.env),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def launch(
        self,
        job: str,
        *,
        location: str = "chosen",
        assets: list[str] | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Launch a run as the UI does; its id."""
        selector: Variables = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets is not None:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        answer = self.graphql(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }""",
            params={
                "selector": selector,
                "runConfigData": config or {},
                "executionMetadata": {"tags": pairs(tags or {})},
            },
        )
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["run"]["runId"]
        return run_id

    def backfill(self, partitions: list[str], **params: Any) -> str:
        """Launch a backfill as the UI does; its id."""
        answer = self.graphql(
            """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }""",
            params={"partitionNames": partitions, **params},
        )
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        backfill_id: str = answer["backfillId"]
        return backfill_id

    def re_execute(self, run_id: str) -> str:
        """Launch a run again as the UI does; the new one's id."""
        answer = self.graphql(
            """mutation($run: String!) { launchRunReexecution(
                 reexecutionParams: {parentRunId: $run, strategy: ALL_STEPS}) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }""",
            run=run_id,
        )
        assert answer["__typename"] == "LaunchRunSuccess", answer
        again: str = answer["run"]["runId"]
        return again

    def runs(self, **tags: str) -> list[Variables]:
        """Runs with these tags, the newest first; with what they materialised."""
        found = self.graphql(
            """query($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) { ... on Runs { results {
                 runId status tags { key value } assetMaterializations { label partition metadataEntries {
                   label ... on TextMetadataEntry { text } ... on IntMetadataEntry { intRepr } } } } } } }""",
            tags=pairs(tags),
        )["results"]
        for run in found:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
        return list(found)

    def run(self, run_id: str) -> Variables:
        """One run."""
        return next(run for run in self.runs() if run["runId"] == run_id)

    def over(self, run_ids: list[str], seconds: float = 150) -> list[Variables]:
        """The runs, once all of them have succeeded."""

        def pending() -> list[str]:
            found = {run["runId"]: run["status"] for run in self.runs()}
            bad = [run_id for run_id in run_ids if found.get(run_id) in ("FAILURE", "CANCELED")]
            assert not bad, [self.errors(run_id) for run_id in bad]
            return [run_id for run_id in run_ids if found.get(run_id) != "SUCCESS"]

        until(lambda: not pending(), seconds, f"runs are over; {self.up.output[-2000:]}")
        found = {run["runId"]: run for run in self.runs()}
        return [found[run_id] for run_id in run_ids]

    def errors(self, run_id: str) -> str:
        """What the events of a run say went wrong."""
        events = self.graphql(
            """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
                 ... on MessageEvent { message } ... on ErrorEvent { error { message stack } } } } } }""",
            run=run_id,
        )["events"]
        return json.dumps([event for event in events if event.get("error")] or events)[-4000:]


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def make(project: Path) -> None:
    """Write a project of three code locations; they share the lock of a real one."""
    version = f"'{'.'.join(os.sys.version.split('.')[:2])}'"
    (project / "platform.yaml").write_text(PLATFORM.replace("VERSION", version))
    shutil.copy(ROOT / "dagster.yaml", project)
    for name in ("chosen", "other", "broken"):
        folder = project / name
        shutil.copytree(
            ROOT / "tests" / "chosen", folder / "chosen", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(ROOT / "code_locations" / "ecommerce" / "requirements.txt", folder)
    for name, text in (("other", OTHER), ("broken", 'raise RuntimeError("the roof is off")\n')):
        package = project / name / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "definitions.py").write_text(text)


@contextmanager
def live(folder: Path) -> Iterator[Live]:
    """Bring a platform up, and end it."""
    project, state = folder / "project", folder / "state"
    project.mkdir()
    make(project)
    with slipway("up", state=state, cwd=project, log=folder / "log") as up:
        up.wait_for("UI: ", 300)
        assert "code location broken did not load" in up.output
        url = up.output.split("UI: ")[1].split()[0]
        exported = subprocess.run(
            ["sh", "-c", f". {state}/env && env -0"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        ).stdout
        env = dict(pair.split("=", 1) for pair in exported.split("\0") if pair)
        yield Live(up, project, url, {**env, "HOME": str(folder)})
        up.process.terminate()
        assert up.process.wait(90) == 0, up.output
