"""The default install as it is rendered, in a file that a change of the chart shows itself in.

`python tests/chart_snapshot.py` writes it (`make format` does).
"""

from __future__ import annotations

import sys

import yaml

import charts
from charts import ROOT

FILE = ROOT / "tests/unit/chart/snapshots/default.yaml"


def text() -> str:
    """Every object of the repository's platform.yaml, in order; no secret value, and no text of platform.yaml."""
    objects = charts.render(charts.platform()).comparable()
    for each in objects.values():
        if each["kind"] == "ConfigMap":
            each["data"] = dict.fromkeys(each["data"], "platform.yaml as JSON")
        if each["kind"] == "Job":
            for container in each["spec"]["template"]["spec"]["containers"]:
                for entry in container["env"]:
                    if entry["name"] == "SLIPWAY_PLATFORM_JSON":
                        entry["value"] = "platform.yaml as JSON"
    return yaml.dump_all((objects[name] for name in sorted(objects)), Dumper=_Plain, width=110)


class _Plain(yaml.SafeDumper):
    """What is there twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


if __name__ == "__main__":
    if reason := charts.missing():
        print(f"the chart's snapshot stays as it is: {reason}", file=sys.stderr)
    elif not FILE.exists() or FILE.read_text("utf-8") != text():
        FILE.write_text(text(), "utf-8")
        print(f"wrote {FILE.relative_to(ROOT)}")
