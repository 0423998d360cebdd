import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from slipway import config
from slipway.config import loader
from slipway.config.errors import PlatformFileError, UserError
from slipway.config.model import Platform

SEED = """
observability:
  compute_logs:
    enabled: true
    manager_type: s3
    storage_ref: default
    bucket: dagster-compute-logs
    prefix: "compute-logs/"
    retention_days: 30
    local_dir: /tmp/dagster-compute-logs
    upload_interval: 30
infrastructure:
  resource_profiles:
    transform:
      requests:
        cpu: "1000m"       # 1 core guaranteed
        memory: "4Gi"      # 4Gi guaranteed (ensures scheduling)
      limits:
        cpu: "8000m"       # 8 cores burstable
        memory: "12Gi"     # 12Gi max (research-backed for PyArrow + DuckDB + dbt)
      env:
        DUCKDB_MEMORY_LIMIT: "8GB"  # 67% of 12Gi limit
        DUCKDB_THREADS: "4"
        DUCKDB_TEMP_DIRECTORY: "/tmp/duckdb"
"""


def problems(text: str) -> list[str]:
    """What is said about a text, a line per mistake, without the name of the file."""
    with pytest.raises(PlatformFileError) as caught:
        loader.parse(text, "p.yaml")
    assert all(str(problem) in caught.value.message for problem in caught.value.problems)
    return [str(problem).removeprefix("p.yaml:") for problem in caught.value.problems]


def test_the_reference_snippets_load_as_they_stand() -> None:
    platform = loader.parse(SEED, "p.yaml")
    transform = platform.infrastructure.resource_profiles["transform"]
    assert (transform.requests.cpu, transform.limits.memory) == ("1000m", "12Gi")
    assert transform.env["DUCKDB_MEMORY_LIMIT"] == "8GB"
    logs = platform.observability.compute_logs
    assert (logs.bucket, logs.prefix, logs.retention_days) == ("dagster-compute-logs", "compute-logs/", 30)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "{}", "---\n", "---\n...\n", "~", "\ufeff"])
def test_an_empty_platform_is_one(text: str) -> None:
    assert loader.parse(text.removeprefix("\ufeff"), "p.yaml") == Platform()


def test_bare_numbers_are_quantities_as_in_kubernetes() -> None:
    text = "infrastructure: {resource_profiles: {p: {limits: {cpu: 2, memory: 2147483648}, requests: {cpu: 0.5}}}}"
    profile = loader.parse(text, "p.yaml").infrastructure.resource_profiles["p"]
    assert (profile.limits.cpu, profile.limits.memory, profile.requests.cpu) == ("2", "2147483648", "0.5")


def test_anchors_on_whole_values() -> None:
    text = """
storage:
  a: &endpoint {endpoint: "http://one:9000"}
  b: *endpoint
"""
    storage = loader.parse(text, "p.yaml").storage
    assert storage["a"] == storage["b"]


# Text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lake:\n\tbucket: b", "2: a tab; YAML is indented with spaces"),
        ("lake:\n  \tbucket: b", "2: a tab; YAML is indented with spaces"),
        (
            "lake: {bucket: b\n",
            "2: not YAML: expected ',' or '}', but got '<stream end>'; while parsing a flow mapping in line 1",
        ),
        ("lake: [unclosed", "1: not YAML: expected ',' or ']', but got '<stream end>'; while parsing a flow sequence in line 1"),
        ("lake: {}\n---\nlake: {}", "2: not YAML: a second document; one file holds one document: remove the line ---"),
        ("a: b: c", "1: not YAML: mapping values are not allowed here"),
        ("x: *nowhere", "1: not YAML: found undefined alias 'nowhere'"),
        ("lake: {}\nx: \x07", "2: the character 7 is not allowed in YAML"),
        ("- a", "1: is a list, and it must be a mapping of infrastructure, observability, postgres, storage, lake, landing, code_locations, defaults, concurrency, kubernetes"),
        ("hello", "1: is text, and it must be a mapping of infrastructure, observability, postgres, storage, lake, landing, code_locations, defaults, concurrency, kubernetes"),
        ("storage: &a {x: *a}", "1: storage.x: an anchor that contains itself; write the value out"),
        ("lake: !!map {bucket: !secret b}", "1: lake.bucket: the tag !secret; write the value without a tag"),
        ("{lake: {}, [a]: b}", "1: a list or mapping as a key; keys are names"),
        ("[" * 5000, "1: nested too deeply"),
    ],
)  # fmt: skip
def test_text_that_is_no_platform(text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "lake: {bucket: one}\n# twice\nlake: {bucket: two}",
            ["3: lake: twice; first in line 1; keep one of the two"],
        ),
        (
            "lake:\n  bucket: one\n  prefix: a/\n  bucket: two",
            ["4: lake.bucket: twice; first in line 2; keep one of the two"],
        ),
        (
            "base: &base {bucket: b}\nlake:\n  <<: *base",
            [
                "1: base: unknown key; known here: infrastructure, observability, postgres, storage, lake, landing, "
                "code_locations, defaults, concurrency, kubernetes",
                '3: lake.<<: a key that YAML 1.1 reads as a merge of mappings, YAML 1.2 as the text "<<"; write the keys out',
            ],
        ),
        (
            "landing:\n  n: {bucket: files}",
            ['2: landing.n: a key that YAML 1.1 reads as false, YAML 1.2 as the text "n"; quote it: "n"'],
        ),
        (
            "code_locations:\n  shop:\n    path: .\n    image: {repository: a, tag: b}\n    env: {on: x}",
            [
                '5: code_locations.shop.env.on: a key that YAML 1.1 reads as true, YAML 1.2 as the text "on"; '
                'quote it: "on"'
            ],
        ),
        ("storage: {1: {}}", ['1: storage.1: a key that is not text; quote it: "1"']),
        (
            "infrastructure: {resource_profiles: {p: {limits: {cpu: 010}}}}",
            ['1: infrastructure.resource_profiles.p.limits.cpu: 010: YAML 1.1 reads 8, YAML 1.2 10; quote it: "010"'],
        ),
        (
            "observability: {compute_logs: {enabled: yes}}",
            [
                '1: observability.compute_logs.enabled: yes: YAML 1.1 reads true, YAML 1.2 the text "yes"; '
                "write true or false"
            ],
        ),
        (
            "observability: {compute_logs: {retention_days: 1e3}}",
            [
                '1: observability.compute_logs.retention_days: 1e3: YAML 1.1 reads the text "1e3", YAML 1.2 1000; '
                "write a plain decimal number"
            ],
        ),
    ],
)  # fmt: skip
def test_text_that_reads_more_than_one_way(text: str, said: list[str]) -> None:
    assert problems(text) == said


@pytest.mark.parametrize("word", ["010", "1e3", "on", "n", "1:30", "0o7", "2026-01-01", "~", "true", "1.10"])
def test_quoted_it_is_text(word: str) -> None:
    text = f"""
code_locations:
  shop:
    path: code
    image: {{repository: shop, tag: x}}
    env: {{A: "{word}", B: '{word}'}}
"""
    env = loader.parse(text, "p.yaml").code_locations["shop"].env
    assert env == {"A": word, "B": word}


# Values


SHOP = "code_locations: {shop: {path: code, image: {repository: shop, tag: x}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Unknown keys
        ("infrastructur: {}", "infrastructur: unknown key; did you mean 'infrastructure'?"),
        ("code-locations: {}", "code-locations: unknown key; did you mean 'code_locations'?"),
        ("resource_profiles: {}", "resource_profiles: unknown key here; it belongs at infrastructure.resource_profiles"),
        ("lake: {bukcet: b}", "lake.bukcet: unknown key; did you mean 'bucket'?"),
        ("lake: {zzz: b}", "lake.zzz: unknown key; known here: storage_ref, bucket, prefix"),
        (
            "infrastructure: {resource_profiles: {p: {limits: {ephemeral_storage: 1Gi}}}}",
            "infrastructure.resource_profiles.p.limits.ephemeral_storage: unknown key; did you mean 'ephemeral-storage'?",
        ),
        (
            "infrastructure: {resource_profiles: {p: {requests: {ephemeral-storage: 1Gi}}}}",
            "infrastructure.resource_profiles.p.requests.ephemeral-storage: unknown key here; it belongs at "
            "infrastructure.resource_profiles.<name>.limits.ephemeral-storage",
        ),
        (f"{SHOP}, profil: default}}}}", "code_locations.shop.profil: unknown key; did you mean 'profile'?"),
        # Missing keys, and keys without a value
        ("landing: {l: {}}", "landing.l: 'bucket' is missing; add bucket: text"),
        ("code_locations: {s: {path: p}}", "code_locations.s: 'image' is missing; add image: a mapping of repository, tag"),
        ("lake: {bucket: }", "lake.bucket: has no value; give text, or remove the key"),
        ("postgres: {host: }", "postgres.host: has no value; give text, or remove the key"),
        ("postgres: {host: h, user: ~}", "postgres.user: has no value; give a reference such as {env: NAME}, or remove the key"),
        ("infrastructure: {resource_profiles: {p: {on_oom: null}}}", "infrastructure.resource_profiles.p.on_oom: has no value; give text, or remove the key"),
        # Limits of what runs at once
        *(
            (f"concurrency: {{{text}}}", f"concurrency.{said}")
            for text, said in (
                ("max_concurrent_run: 5", "max_concurrent_run: unknown key; did you mean 'max_concurrent_runs'?"),
                ("max_concurrent_runs: -1", "max_concurrent_runs: -1 is too small, the least is 0"),
                ("max_concurrent_runs: many", "max_concurrent_runs: is text, and it must be a whole number"),
                ("runs: {max_concurrent_runs: 5}", "runs: Dagster's own form; write max_concurrent_runs and tags here"),
                ("tag_concurrency_limits: []", "tag_concurrency_limits: Dagster's own form; write tags: {KEY: {limit: 2}}"),
                ("default_pool_limit: 0", "default_pool_limit: 0 is too small, the least is 1"),
                ("pools: {a: 1001}", "pools.a: 1001 is too large, the most is 1000"),
                ("pools: {a: '2'}", "pools.a: is text, and it must be a whole number; write 2 without quotes"),
                ("pools: {a b: 2}", 'pools."a b": no pool name: empty, or with white space'),
                ("pools: {a: {limit: 2}}", "pools.a: is a mapping, and it must be a whole number"),
                ("pools: [a]", "pools: is a list, and it must be a mapping of names to a whole number"),
                ("tags: {team: 5}", "tags.team: is the number 5, and it must be a mapping of limit, each_value, values"),
                ("tags: {team: {values: {}}}", "tags.team: limits nothing; give limit, each_value or values, or remove it"),
                ("tags: {team: {limit: }}", "tags.team.limit: has no value; give a whole number, or remove the key"),
                ("tags: {' team': {limit: 1}}", 'tags." team": no key of a tag: empty, or white space around it'),
            )
        ),
        (
            "{code_locations: {shop: {path: p, image: {repository: a, tag: b}, duckdb_file: s.db}}, concurrency: {pools: {duckdb_shop: 2}}}",
            "concurrency.pools.duckdb_shop: the pool of the DuckDB file of 'shop', which one process opens at a time; remove it: its limit is one",
        ),
        ("storage:", "storage: has no value; give a mapping of names, or remove the key"),
        # Wrong types
        ("lake: b", "lake: is text, and it must be a mapping of storage_ref, bucket, prefix"),
        ("storage: []", "storage: is a list, and it must be a mapping of names"),
        ("lake: {prefix: 2026}", 'lake.prefix: is the number 2026, and it must be text; quote it: "2026"'),
        ("postgres: {port: '5432', host: h}", "postgres.port: is text, and it must be a whole number; write 5432 without quotes"),
        ("postgres: {port: 5432.5, host: h}", "postgres.port: is the number 5432.5, and it must be a whole number"),
        ("postgres: {port: many, host: h}", "postgres.port: is text, and it must be a whole number"),
        ("postgres: {port: true, host: h}", "postgres.port: is true, and it must be a whole number"),
        (
            'observability: {compute_logs: {enabled: "yes"}}',
            "observability.compute_logs.enabled: is text, and it must be true or false; write true without quotes",
        ),
        (
            "observability: {compute_logs: {enabled: 1}}",
            "observability.compute_logs.enabled: is the number 1, and it must be true or false",
        ),
        (
            "code_locations: {shop: {path: code, image: {repository: shop, tag: 1.10}}}",
            'code_locations.shop.image.tag: is the number 1.1, and it must be text; quote it: "1.10"',
        ),
        (f"{SHOP}, python: 3.10}}}}", 'code_locations.shop.python: is the number 3.1, and it must be text; quote it: "3.10"'),
        (f"{SHOP}, env: {{A: 1}}}}}}", 'code_locations.shop.env.A: is the number 1, and it must be text or a reference; quote it: "1"'),
        (
            "infrastructure: {resource_profiles: {p: {env: {A: true}}}}",
            'infrastructure.resource_profiles.p.env.A: is true, and it must be text; quote it: "true"',
        ),
        (
            "infrastructure: {resource_profiles: {p: {limits: {cpu: [2]}}}}",
            "infrastructure.resource_profiles.p.limits.cpu: is a list, and it must be text",
        ),
        # Values out of range or not in the list
        (
            "observability: {compute_logs: {retention_days: 0}}",
            "observability.compute_logs.retention_days: 0 is too small, the least is 1",
        ),
        ("postgres: {port: 70000, host: h}", "postgres.port: 70000 is too large, the most is 65535"),
        (
            "landing: {l: {bucket: files, mode: event}}",
            "landing.l.mode: 'event' is not one of events, list; did you mean 'events'?",
        ),
        (
            "observability: {compute_logs: {manager_type: azure}}",
            "observability.compute_logs.manager_type: 'azure' is not one of s3; there is: s3",
        ),
        ("postgres: {host: h, sslmode: verify}", "postgres.sslmode: 'verify' is not one of disable, allow, prefer, require, verify-ca, verify-full; did you mean 'verify-ca'?"),
        (f"{SHOP}, python: '3.10'}}}}", "code_locations.shop.python: '3.10' is not a supported Python: 3.11, 3.12 or 3.13"),
        (f"{SHOP}, python: '3.13.1'}}}}", "code_locations.shop.python: '3.13.1' is not a supported Python: 3.11, 3.12 or 3.13; did you mean '3.13'?"),
        ("code_locations: {s: {path: '', image: {repository: a, tag: b}}}", "code_locations.s.path: is empty"),
        # Names and patterns
        ("storage: {My-S3: {}}", "storage.My-S3: no name: lower-case letters, digits and _, a letter first, no _ last, at most 40; did you mean 'my_s3'?"),
        ("storage: {s3_: {}}", "storage.s3_: no name: lower-case letters, digits and _, a letter first, no _ last, at most 40; did you mean 's3'?"),
        (f"{SHOP}, env: {{MY-KEY: a}}}}}}", "code_locations.shop.env.MY-KEY: no name of an environment variable; did you mean 'MY_KEY'?"),
        ("lake: {bucket: My_Lake}", "lake.bucket: 'My_Lake' is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens; did you mean 'my-lake'?"),
        ("lake: {bucket: b}", "lake.bucket: 'b' is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens"),
        ("lake: {prefix: /data}", "lake.prefix: '/data' is no folder: empty, or names with a slash after each; did you mean 'data/'?"),
        ("lake: {prefix: ../up/}", "lake.prefix: '../up/' is no folder: empty, or names with a slash after each"),
        ("storage: {s: {endpoint: 'minio:9000'}}", "storage.s.endpoint: 'minio:9000' is no URL: http:// or https://, host and port, without credentials; did you mean 'http://minio:9000'?"),
        ("postgres: {host: /var/run/postgresql}", "postgres.host: '/var/run/postgresql' is no host name or address"),
        ("code_locations: {s: {path: p, image: {repository: 'Repo/X:1', tag: b}}}", "code_locations.s.image.repository: 'Repo/X:1' is no image repository: lower case, without the tag; did you mean 'repo/x'?"),
        ("code_locations: {s: {path: p, image: {repository: a, tag: 'a b'}}}", "code_locations.s.image.tag: 'a b' is no image tag"),
        *(
            (
                f"{SHOP}, duckdb_file: {written}}}}}",
                f"code_locations.shop.duckdb_file: '{value}' is no name of a DuckDB file: no folder, letters, digits, _ and -, "
                f"a letter first, .duckdb or .db last{hint}",
            )
            for written, value, hint in (
                ("data/shop.duckdb", "data/shop.duckdb", "; did you mean 'shop.duckdb'?"),
                ("../shop.db", "../shop.db", "; did you mean 'shop.db'?"),
                ("my shop", "my shop", "; did you mean 'my_shop.duckdb'?"),
                ("a.b.DuckDB", "a.b.DuckDB", "; did you mean 'a_b.duckdb'?"),
                ("'..'", "..", ""),
                ("''", "", ""),
                ("'1.db'", "1.db", ""),
                (f"{'a' * 64}.db", f"{'a' * 64}.db", ""),
            )
        ),
        # Quantities
        (
            "infrastructure: {resource_profiles: {p: {limits: {memory: 4GB}}}}",
            "infrastructure.resource_profiles.p.limits.memory: '4GB' is not a quantity; did you mean '4G'?",
        ),
        (
            "infrastructure: {resource_profiles: {p: {requests: {cpu: -1}}}}",
            "infrastructure.resource_profiles.p.requests.cpu: '-1' is negative",
        ),
    ],
)  # fmt: skip
def test_a_value_that_does_not_belong(text: str, said: str) -> None:
    assert problems(text) == [f"1: {said}"]


# Secrets


@pytest.mark.parametrize("value", ["hunter2", "'hunter2'", "42424242", "2026-01-01", "[hunter2]"])
@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("postgres: {{host: h, user: {{env: U}}, password: {}}}", "postgres.password"),
        (
            "storage: {{s: {{access_key_id: {{env: A}}, secret_access_key: {}}}}}",
            "storage.s.secret_access_key",
        ),
    ],
)
def test_a_secret_inline_is_refused_and_not_repeated(value: str, where: str, key: str) -> None:
    assert problems(where.format(value)) == [
        f"1: {key}: a secret never stands in platform.yaml itself; "
        "write {env: NAME}, {file: PATH} or {secret: {name: NAME, key: KEY}}"
    ]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("{evn: A}", "postgres.user: unknown key 'evn'; did you mean 'env'?"),
        ("{env: A, file: b}", "postgres.user: more than one of env, file and secret; keep one"),
        ("{}", "postgres.user: no reference; write {env: NAME}, {file: PATH} or {secret: {name: NAME, key: KEY}}"),
        ("{env: my-user}", "postgres.user.env: 'my-user' is no name of an environment variable; did you mean 'my_user'?"),
        ("{env: A, extra: b}", "postgres.user.extra: unknown key"),
        ("{secret: {name: x}}", "postgres.user.secret: 'key' is missing; add key: text"),
        ("{secret: x}", "postgres.user.secret: is text, and it must be a mapping of name, key"),
        ("{env: 1}", 'postgres.user.env: is the number 1, and it must be text; quote it: "1"'),
    ],
)  # fmt: skip
def test_a_reference_with_a_mistake(reference: str, said: str) -> None:
    [problem] = problems(f"postgres: {{host: h, user: {reference}}}")
    assert problem.startswith(f"1: {said}")


def test_an_endpoint_with_credentials_is_not_repeated() -> None:
    [problem] = problems("storage: {s: {endpoint: 'https://key:hunter2@s3.example.com'}}")
    assert "hunter2" not in problem
    assert "without credentials" in problem


# All at once


def test_every_mistake_is_said_at_once_in_the_order_of_the_file() -> None:
    text = """\
infrastructure:
  resource_profiles:
    small:
      limits: {memory: 1Gb}
    large:
      requests: {memory: 4Gi, cpu: 2}
      limits: {memory: 2Gi, cpu: 1}
lake: {storage_ref: s4}
code_locations:
  shop:
    path: shop
    profile: smal
    image: {repository: shop}
defaults: {profile: large}
"""
    assert problems(text) == [
        "4: infrastructure.resource_profiles.small.limits.memory: '1Gb' is not a quantity; did you mean '1G'?",
        "7: infrastructure.resource_profiles.large.limits.memory: 2Gi is below the request of 4Gi; raise it, or lower requests.memory",
        "7: infrastructure.resource_profiles.large.limits.cpu: 1 is below the request of 2; raise it, or lower requests.cpu",
        "8: lake.storage_ref: there is no storage 's4'; there is: default",
        "12: code_locations.shop.profile: there is no resource profile 'smal'; did you mean 'small'?",
        "13: code_locations.shop.image: 'tag' is missing; add tag: text",
    ]


def test_the_error_counts_them() -> None:
    with pytest.raises(PlatformFileError, match=r"^p.yaml has 2 errors:\n  p.yaml:1: a: .*\n  p.yaml:2: b: "):
        loader.parse("a: 1\nb: 2", "p.yaml")
    with pytest.raises(PlatformFileError, match=r"^p\.yaml has 1 error:"):
        loader.parse("a: 1", "p.yaml")


# Files


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "1_" + "0" * 5000, "1" + ":30" * 2000])
def test_numbers_of_thousands_of_digits(number: str) -> None:
    said = problems(f"lake: {{bucket: {number}}}\npostgres: {{host: h, port: {number}}}")
    assert [line.partition(" of ")[0] for line in said] == [
        "1: lake.bucket: a number",
        "2: postgres.port: a number",
    ]


def test_a_key_of_thousands_of_digits() -> None:
    assert "keys are names" in problems("landing:\n  ? " + "9" * 5000 + "\n  : 1")[0]


def test_anchors_that_multiply() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise("abcdefghij")]
    (said,) = problems("\n".join(lines))
    assert "anchors repeat" in said


def test_characters_that_no_variable_holds() -> None:
    (nul,) = problems('infrastructure: {resource_profiles: {s: {env: {A: "a\\0b"}}}}')
    assert "resource_profiles.s.env.A: text with the character NUL" in nul
    (half,) = problems('lake: {bucket: "\\uD800"}')
    assert "lake.bucket: holds half of a character" in half


def test_load(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_bytes(b"\xef\xbb\xbflake: {bucket: my-lake}\r\ndefaults: {}\r\n")
    assert loader.load(file).lake.bucket == "my-lake"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*/nowhere\.yaml") as caught:
        loader.load(tmp_path / "nowhere.yaml")
    assert "SLIPWAY_PLATFORM" in (caught.value.hint or "")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        loader.load(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text("")
    file.chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        loader.load(file)


def test_not_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_bytes("# a\n# ä\n".encode("latin-1"))
    with pytest.raises(PlatformFileError, match=r"platform\.yaml:2: not UTF-8 text; save the file as UTF-8"):
        loader.load(file)


def test_inspect_looks_for_the_folders_of_code_locations(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    (tmp_path / "code" / "shop").mkdir(parents=True)
    file.write_text(
        "code_locations:\n"
        "  a: {path: code/shop, image: {repository: a, tag: b}}\n"
        "  b: {path: code/shpo, image: {repository: a, tag: b}}\n"
        "  c: {path: nowhere/x, image: {repository: a, tag: b}}\n"
    )
    loader.load(file)
    with pytest.raises(PlatformFileError) as caught:
        loader.inspect(file)
    assert [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems] == [
        "3: code_locations.b.path: there is no folder 'code/shpo'; did you mean 'code/shop'?",
        "4: code_locations.c.path: there is no folder 'nowhere/x'; it is relative to platform.yaml",
    ]


# The platform of a process


def test_current_reads_the_named_file_and_reads_it_again_when_it_changed(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    env = {"SLIPWAY_PLATFORM": str(file)}
    file.write_text("lake: {bucket: first}")
    first = config.current(env)
    assert first.lake.bucket == "first"
    assert config.current(env) is first
    file.write_text("lake: {bucket: the-second}")
    assert config.current(env).lake.bucket == "the-second"


def test_current_prefers_the_inline_platform(tmp_path: Path) -> None:
    env = {
        "SLIPWAY_PLATFORM": str(tmp_path / "none"),
        "SLIPWAY_PLATFORM_JSON": '{"lake": {"bucket": "inline"}}',
    }
    assert config.current(env).lake.bucket == "inline"


def test_current_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"there is no file platform\.yaml"):
        config.current({})


def test_inline_text_is_any_text() -> None:
    text = json.dumps(
        {
            "code_locations": {
                "s": {"path": "p", "image": {"repository": "a", "tag": "b"}, "env": {"A": "😀 010"}}
            }
        }
    )
    assert loader.parse_json(text, "inline").code_locations["s"].env["A"] == "😀 010"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "inline: not JSON: Expecting property name"),
        ('{"lake": {"bukcet": "b"}}', "inline: lake.bukcet: unknown key; did you mean 'bucket'?"),
        ('{"defaults": {"profile": "x"}}', "inline: defaults.profile: there is no resource profile 'x'; there is: default"),
        ('{"lake": {"prefix": 1}}', "inline: lake.prefix: is the number 1, and it must be text; quote it"),
    ],
)  # fmt: skip
def test_inline_mistakes_have_no_line(text: str, said: str) -> None:
    with pytest.raises(PlatformFileError) as caught:
        loader.parse_json(text, "inline")
    assert str(caught.value.problems[0]).startswith(said)
