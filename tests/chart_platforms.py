"""The platforms that everything is asserted of."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import yaml

from charts import ROOT, Rendered, Values, merged, platform, render

EXTERNAL: Values = {
    "postgres": {
        "bundled": None,
        "host": "db.example.com",
        "user": {"env": "PG_USER"},
        "password": {"secret": {"name": "pg", "key": "password"}},
    },
    "storage": {
        "default": {
            "bundled": None,
            "endpoint": "https://s3.example.com",
            "access_key_id": {"env": "KEY"},
            "secret_access_key": {"env": "SECRET"},
        }
    },
}
INGRESS: Values = {
    "kubernetes": {
        "ingress": {
            "full": {"enabled": True, "host": "a.example.com", "authentication": {"annotations": {"a": "b"}}}
        }
    }
}
READ_ONLY: Values = {
    "kubernetes": {
        "webserverReadOnly": {"replicas": 2},
        "ingress": {"readOnly": {"enabled": True, "host": "b.example.com", "allowUnauthenticated": True}},
    }
}
DUCKDB: Values = {"code_locations": {"veteran": {"duckdb_file": "veteran.duckdb"}}}
MORE: Values = {
    "code_locations": {
        f"location_{index}": {"path": "p", "image": {"repository": f"slipway/location-{index}", "tag": "1"}}
        for index in range(5)
    }
}
FEATURES = {"external": EXTERNAL, "ingress": INGRESS, "read-only": READ_ONLY, "duckdb": DUCKDB}


def _matrix() -> dict[str, Values]:
    found: dict[str, Values] = {}
    for chosen in product((False, True), repeat=len(FEATURES)):
        names = [name for name, wanted in zip(FEATURES, chosen, strict=True) if wanted]
        values = platform()
        for name in names:
            values = merged(values, FEATURES[name])
        found["+".join(names) or "default"] = values
    return found


def everything() -> Values:
    """The values file that has every key."""
    text = (ROOT / "tests/unit/chart/platforms/everything.yaml").read_text("utf-8")
    given: dict[str, Any] = yaml.safe_load(text)
    return merged(platform(), given)


MATRIX: dict[str, Values] = {
    **_matrix(),
    "everything": everything(),
    "empty": {},
    "many locations": merged(platform(), MORE),
    "bundled S3, external Postgres": merged(platform(), {"postgres": EXTERNAL["postgres"]}),
    "external S3, bundled Postgres": merged(platform(), {"storage": EXTERNAL["storage"]}),
}


@cache
def rendered(name: str) -> Rendered:
    """A platform of the matrix, rendered once: not to be changed."""
    return render(MATRIX[name])
