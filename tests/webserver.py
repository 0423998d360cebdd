"""What tests ask of a webserver: a platform is looked at and used as its users do, through GraphQL."""

from __future__ import annotations

import json
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from waiting import until


class Webserver(ABC):
    """A platform that has a webserver at some address."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is now."""

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the webserver."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def launch(self, location: str, asset: str, tags: Mapping[str, str] | None = None) -> str:
        """Launch a run that materialises one asset; its id."""
        return self.launch_job(location, "__ASSET_JOB", assets=[asset], tags=tags)

    def launch_job(
        self,
        location: str,
        job: str,
        *,
        assets: Sequence[str] = (),
        ops: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launch a run of a job as the UI does; its id."""
        selector: dict[str, Any] = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        data = self.graphql(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }""",
            params={
                "selector": selector,
                "runConfigData": {"ops": ops} if ops else {},
                "executionMetadata": {"tags": pairs(tags or {})},
            },
        )["launchRun"]
        assert data["__typename"] == "LaunchRunSuccess", data
        run_id: str = data["run"]["runId"]
        return run_id

    def terminate(self, run_id: str) -> None:
        """Terminate a run as the UI's button does."""
        data = self.graphql(
            """mutation($run: String!) { terminateRun(runId: $run) {
                 __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }""",
            run=run_id,
        )["terminateRun"]
        assert data["__typename"] == "TerminateRunSuccess", data

    def run(self, run_id: str) -> dict[str, Any]:
        """Status and tags of a run, and its begin and end in seconds."""
        found: dict[str, Any] = self.graphql(
            """query($run: ID!) { runOrError(runId: $run) { ... on Run {
                 status startTime endTime tags { key value } } } }""",
            run=run_id,
        )["runOrError"]
        return {**found, "tags": {tag["key"]: tag["value"] for tag in found["tags"]}}

    def runs(self, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        """Id, status and times of the runs that have these tags, the newest first."""
        found: list[dict[str, Any]] = self.graphql(
            """query($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) { ... on Runs { results {
                 runId status startTime endTime } } } }""",
            tags=pairs(tags),
        )["runsOrError"]["results"]
        return found

    def messages(self, run_id: str) -> list[str]:
        """What the events of a run say, in their order; errors with what they say."""
        return [
            "\n".join(filter(None, [event.get("message"), (event.get("error") or {}).get("message")]))
            for event in self.graphql(
                """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
                     ... on MessageEvent { message } ... on ErrorEvent { error { message } } } } } }""",
                run=run_id,
            )["logsForRun"]["events"]
        ]

    def says(self, run_id: str, text: str, seconds: float = 60) -> str:
        """The first message of a run with this text, once there is one."""
        return until(
            lambda: next((message for message in self.messages(run_id) if text in message), None),
            seconds,
            lambda: f"{text!r} among:\n" + "\n".join(self.messages(run_id)),
        )

    def retry_of(self, run_id: str, seconds: float = 60) -> str:
        """The run that retries another, once there is one; its id."""
        children = until(
            lambda: self.runs({"dagster/parent_run_id": run_id}), seconds, f"{run_id} has no retry"
        )
        [child] = children
        retry: str = child["runId"]
        return retry

    def log_keys(self, run_id: str) -> list[list[str]]:
        """The log keys of a run, one for each attempt of a step, in the order of their start."""
        events = self.graphql(
            """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
               ... on LogsCapturedEvent { fileKey } } } } }""",
            run=run_id,
        )["logsForRun"]["events"]
        return [[run_id, "compute_logs", event["fileKey"]] for event in events if event]

    def log(self, log_key: list[str]) -> dict[str, str]:
        """A log as the UI gets it: stdout and stderr."""
        found: dict[str, str] = self.graphql(
            "query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }", key=log_key
        )["capturedLogs"]
        return found

    def succeeded(self, job: str) -> list[str]:
        """Ids of the runs of a job that succeeded."""
        data = self.graphql(
            """query($job: String!) { runsOrError(filter: {pipelineName: $job, statuses: [SUCCESS]}) {
               ... on Runs { results { runId } } } }""",
            job=job,
        )["runsOrError"]
        return [run["runId"] for run in data["results"]]

    def finished(self, run_id: str, seconds: float = 120) -> dict[str, Any]:
        """Status, tags and the JSON metadata of a run, once it has ended."""

        def ended() -> dict[str, Any] | None:
            data = self.graphql(
                """query($run: ID!) { runOrError(runId: $run) { ... on Run { status tags { key value }
                   assetMaterializations { metadataEntries { label ... on JsonMetadataEntry { jsonString } } } } } }""",
                run=run_id,
            )["runOrError"]
            return data if data["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        return until(ended, seconds, f"run {run_id} has not ended")

    def seen(self, run_id: str) -> dict[str, Any]:
        """What the probe saw in a run that succeeded."""
        run = self.finished(run_id)
        assert run["status"] == "SUCCESS", self.failure(run_id)
        [entry] = [
            entry
            for materialization in run["assetMaterializations"]
            for entry in materialization["metadataEntries"]
            if entry["label"] == "seen"
        ]
        found: dict[str, Any] = json.loads(entry["jsonString"])
        return found

    def failure(self, run_id: str) -> str:
        """What the events of a run say went wrong."""
        events = self.graphql(
            """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
               ... on MessageEvent { message level } ... on ErrorEvent { error { message stack } } } } } }""",
            run=run_id,
        )["logsForRun"]["events"]
        return json.dumps([event for event in events if event.get("error") or event.get("level") == "ERROR"])[
            -6000:
        ]

    def locations(self) -> dict[str, str]:
        """Each code location with its load error, or an empty text."""
        entries = self.graphql(
            """{ workspaceOrError { ... on Workspace { locationEntries { name
                 locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
        )["workspaceOrError"]["locationEntries"]
        return {
            entry["name"]: (entry["locationOrLoadError"] or {"message": "still loading"}).get("message", "")
            for entry in entries
        }


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as GraphQL takes them."""
    return [{"key": key, "value": value} for key, value in tags.items()]
