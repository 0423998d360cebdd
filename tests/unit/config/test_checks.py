"""Checks between keys, as their messages reach a user."""

import pytest

from slipway.config import loader
from slipway.config.errors import PlatformFileError


def problems(text: str) -> list[str]:
    with pytest.raises(PlatformFileError) as caught:
        loader.parse(text, "p.yaml")
    return [str(problem).removeprefix("p.yaml:1: ") for problem in caught.value.problems]


def profile(**sections: str) -> str:
    inner = ", ".join(f"{key}: {{{value}}}" for key, value in sections.items())
    return f"infrastructure: {{resource_profiles: {{p: {{{inner}}}}}}}"


P = "infrastructure.resource_profiles.p"
ARITHMETIC_1GI = (
    "1024 MiB - 256 MiB for the process - 256 MiB for Python's heap (20 %, at least 256 MiB) = 512 MiB"
)
ARITHMETIC_12GI = (
    "12288 MiB - 256 MiB for the process - 2458 MiB for Python's heap (20 %, at least 256 MiB) = 9574 MiB"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            profile(requests="memory: 2Gi", limits="memory: 1Gi"),
            f"{P}.limits.memory: 1Gi is below the request of 2Gi; raise it, or lower requests.memory",
        ),
        (
            profile(requests="cpu: 1001m", limits="cpu: 1"),
            f"{P}.limits.cpu: 1 is below the request of 1001m; raise it, or lower requests.cpu",
        ),
        (profile(limits="cpu: 0"), f"{P}.limits.cpu: no CPU at all; give at least 100m"),
        (
            profile(limits="memory: 512Mi"),
            f"{P}.limits.memory: leaves DuckDB nothing to work with: 512 MiB - 256 MiB for the process - 256 MiB for "
            "Python's heap (20 %, at least 256 MiB) = 0 MiB; give at least 576Mi; 1Gi is the smallest that sorts and joins",
        ),
        (
            profile(limits="memory: 1Gi", env="DUCKDB_MEMORY_LIMIT: 800MB"),
            f"{P}.env.DUCKDB_MEMORY_LIMIT: 800MB = 763 MiB cannot fit limits.memory: {ARITHMETIC_1GI}; "
            "give at most 512MiB, leave it out for 512MiB, or raise limits.memory",
        ),
        (
            profile(env="DUCKDB_MEMORY_LIMIT: 513MiB"),
            f"{P}.env.DUCKDB_MEMORY_LIMIT: 513MiB = 513 MiB cannot fit limits.memory: {ARITHMETIC_1GI}; "
            "give at most 512MiB, leave it out for 512MiB, or raise limits.memory",
        ),
        (
            profile(limits="memory: 12Gi", env="DUCKDB_MEMORY_LIMIT: 10GiB"),
            f"{P}.env.DUCKDB_MEMORY_LIMIT: 10GiB = 10240 MiB cannot fit limits.memory: {ARITHMETIC_12GI}; "
            "give at most 9574MiB, leave it out for 6758MiB, or raise limits.memory",
        ),
        (
            profile(env="DUCKDB_MEMORY_LIMIT: 500MB, DUCKDB_MEMORY_LIMITS: 1GB"),
            f"{P}.env.DUCKDB_MEMORY_LIMITS: no setting of DuckDB's; did you mean 'DUCKDB_MEMORY_LIMIT'?",
        ),
        (profile(env="DUCKDB_MEMORY_LIMIT: 1MB"), f"{P}.env.DUCKDB_MEMORY_LIMIT: 1MB is too little to work with; give at least 64MiB"),
        (
            profile(limits="memory: 12Gi", env="DUCKDB_MEMORY_LIMIT: 8Gi"),
            f"{P}.env.DUCKDB_MEMORY_LIMIT: '8Gi' is not a size of DuckDB's; did you mean '8GiB'? "
            "(KB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024)",
        ),
        (profile(env='DUCKDB_MEMORY_LIMIT: "-1"'), f"{P}.env.DUCKDB_MEMORY_LIMIT: '-1' is not a size of DuckDB's, such as 512MB or 8GiB"),
        (
            profile(limits="ephemeral-storage: 5Gi", env="DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 6GB"),
            f"{P}.env.DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 6GB = 5722 MiB cannot fit limits.ephemeral-storage, 5Gi = 5120 MiB; "
            "leave it out, or raise limits.ephemeral-storage",
        ),
        (
            profile(env="DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 21GiB"),
            f"{P}.env.DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 21GiB = 21504 MiB cannot fit limits.ephemeral-storage, 20Gi = 20480 MiB; "
            "leave it out, or raise limits.ephemeral-storage",
        ),
        (
            profile(env="DUCKDB_MAX_TEMP_DIRECTORY_SIZE: plenty"),
            f"{P}.env.DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 'plenty' is not a size of DuckDB's, such as 512MB or 8GiB",
        ),
        (profile(env='DUCKDB_THREADS: "0"'), f"""{P}.env.DUCKDB_THREADS: '0' is not a number of threads; write a whole number, "1" or more"""),
        (profile(env="DUCKDB_THREADS: two"), f"""{P}.env.DUCKDB_THREADS: 'two' is not a number of threads; write a whole number, "1" or more"""),
        (profile(env="DUCKDB_PRESERVE_INSERTION_ORDER: maybe"), f"""{P}.env.DUCKDB_PRESERVE_INSERTION_ORDER: 'maybe' is neither true nor false; write "true" or "false\""""),
        (profile(env='DUCKDB_TEMP_DIRECTORY: ""'), f"{P}.env.DUCKDB_TEMP_DIRECTORY: no folder; name one, or leave it out: the run's scratch is used"),
        (profile(env="SLIPWAY_RUNTIME: docker"), f"{P}.env.SLIPWAY_RUNTIME: the platform sets this itself; choose another name"),
        # Names that refer to others
        ("defaults: {profile: smal}", "defaults.profile: there is no resource profile 'smal'; there is: default"),
        ("lake: {storage_ref: defualt}", "lake.storage_ref: there is no storage 'defualt'; did you mean 'default'?"),
        (
            "observability: {compute_logs: {storage_ref: x}}",
            "observability.compute_logs.storage_ref: there is no storage 'x'; there is: default",
        ),
        (
            "{storage: {mine: {}}, landing: {l: {bucket: files, storage_ref: mien}}}",
            "landing.l.storage_ref: there is no storage 'mien'; did you mean 'mine'?",
        ),
        # Postgres
        ("postgres: {bundled: false}", "postgres.bundled: false, and there is no host; give the host of your own Postgres"),
        ("postgres: {bundled: true, host: db}", "postgres.bundled: true, and there is a host; remove one of the two"),
        ("postgres: {port: 6432}", "postgres.port: changes nothing on the bundled Postgres; give a host too, or remove it"),
        ("postgres: {host: db, password: {env: P}}", "postgres.password: without a user; give postgres.user"),
        # Storage
        (
            "storage: {default: {bundled: true, path_style: true}}",
            "storage.default.path_style: the bundled S3 brings its own; remove it, or bundled: true if the S3 is yours",
        ),
        (
            "storage: {s: {access_key_id: {env: A}}}",
            "storage.s.access_key_id: without secret_access_key; give both, or neither for the ambient credentials",
        ),
        (
            "storage: {s: {secret_access_key: {env: A}}}",
            "storage.s.secret_access_key: without access_key_id; give both, or neither for the ambient credentials",
        ),
        # Code locations
        (
            "code_locations: {memory: {path: p, image: {repository: a, tag: b}}}",
            "code_locations.memory: 'memory' is a database of DuckDB's own; choose another name, such as memory_data",
        ),
        (
            "code_locations: {s: {path: p, image: {repository: a, tag: b}, duckdb_file: Temp.duckdb}}",
            "code_locations.s.duckdb_file: 'Temp' is a database of DuckDB's own; "
            "choose another name, such as Temp_data.duckdb",
        ),
        (
            "code_locations: {s: {path: p, image: {repository: a, tag: b}, env: {SLIPWAY_STATE: x}}}",
            "code_locations.s.env.SLIPWAY_STATE: the platform sets this itself; choose another name",
        ),
        (
            "code_locations: {s: {path: p, image: {repository: a, tag: b}, env: {DUCKDB_THREADS: '1'}}}",
            "code_locations.s.env.DUCKDB_THREADS: the run's resource profile decides this; "
            "put it into a profile's env, and name the profile here",
        ),
        # Folders
        (
            "{lake: {bucket: data}, landing: {l: {bucket: data, prefix: in/}}}",
            "landing.l: s3://data/in/ and lake's s3://data/ overlap; give each a bucket or prefix of its own",
        ),
        (
            "landing: {a: {bucket: data, prefix: in/}, b: {bucket: data, prefix: in/shop/}}",
            "landing.b: s3://data/in/shop/ and landing.a's s3://data/in/ overlap; give each a bucket or prefix of its own",
        ),
        (
            "landing: {l: {bucket: dagster-compute-logs}}",
            "landing.l: s3://dagster-compute-logs/ and observability.compute_logs's s3://dagster-compute-logs/compute-logs/ "
            "overlap; give each a bucket or prefix of its own",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together(text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize(
    "text",
    [
        profile(requests="memory: 1024Mi, cpu: 1000m", limits="memory: 1Gi, cpu: 1"),
        # A limit that is left out is never below its request.
        profile(requests="memory: 4Gi, cpu: 3"),
        profile(requests="memory: 4Gi", env="DUCKDB_MEMORY_LIMIT: 3GB"),
        profile(limits="memory: 576Mi"),
        profile(env="DUCKDB_MEMORY_LIMIT: 512MiB, DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 20GiB"),
        # A project's own variable, which only begins like one of DuckDB's settings.
        profile(env="DUCKDB_DATABASE: /tmp/x.duckdb, DAGSTER_ENV: prod"),
        "defaults: {profile: default}",
        "storage: {default: {bundled: true, region: eu-west-1}}",
        "{lake: {bucket: data, prefix: lake/}, landing: {a: {bucket: data, prefix: in/}, b: {bucket: data, prefix: inner/}}}",
        "{storage: {other: {}}, lake: {bucket: data}, landing: {a: {bucket: data, storage_ref: other}}}",
        "postgres: {bundled: true}",
        "code_locations: {s: {path: p, image: {repository: a, tag: b}, duckdb_file: complex-stories_2.duckdb}}",
        "postgres: {bundled: false, host: db, user: {env: U}}",
    ],
)
def test_what_does(text: str) -> None:
    loader.parse(text, "p.yaml")


def ladder(small: str, large: str = "limits: {memory: 4Gi}") -> str:
    return f"infrastructure: {{resource_profiles: {{small: {{{small}}}, large: {{{large}}}}}}}"


ON_OOM = "infrastructure.resource_profiles.small.on_oom"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ladder("on_oom: lagre"), f"{ON_OOM}: there is no resource profile 'lagre'; did you mean 'large'?"),
        # What is no larger is no suggestion.
        (
            ladder("limits: {memory: 2Gi}, on_oom: smal"),
            f"{ON_OOM}: there is no resource profile 'smal'; there is: large",
        ),
        (ladder("on_oom: small"), f"{ON_OOM}: is the profile itself; name one with a larger limits.memory"),
        (
            ladder("limits: {memory: 4Gi}, on_oom: large"),
            f"{ON_OOM}: 'large' has 4 GiB of memory, and 'small' 4 GiB; name a profile with a larger limits.memory",
        ),
        # A request raises a limit that is left out.
        (
            ladder("requests: {memory: 2Gi}, on_oom: default"),
            f"{ON_OOM}: 'default' has 1 GiB of memory, and 'small' 2 GiB; name a profile with a larger limits.memory",
        ),
        (
            ladder("max_oom_retries: 2"),
            f"{ON_OOM.removesuffix('on_oom')}max_oom_retries: changes nothing without on_oom; "
            "name the larger profile to retry on in on_oom, or remove it",
        ),
        (
            ladder("on_oom: large, max_oom_retries: 11"),
            f"{ON_OOM.removesuffix('on_oom')}max_oom_retries: 11 is too large, the most is 10",
        ),
        (
            ladder("on_oom: large, max_oom_retries: -1"),
            f"{ON_OOM.removesuffix('on_oom')}max_oom_retries: -1 is too small, the least is 0",
        ),
    ],
)
def test_what_follows_a_run_out_of_memory_must_be_larger(text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize(
    "text",
    [
        ladder("on_oom: large, max_oom_retries: 0"),
        ladder("limits: {memory: 768Mi}, on_oom: default"),
        # Another mistake is told alone.
        ladder("on_oom: large", "requests: {memory: 3Gi}"),
    ],
)
def test_a_larger_one_may_follow(text: str) -> None:
    loader.parse(text, "p.yaml")


def test_a_mistake_in_one_part_of_a_profile_hides_none_in_another() -> None:
    said = problems(
        profile(
            requests="cpu: 2", limits="cpu: 1, memory: 1Gi", env="DUCKDB_THREADS: 4, DUCKDB_MEMORY_LIMIT: 2GB"
        )
    )
    assert [line.split(": ")[0] for line in said] == [
        f"{P}.limits.cpu",
        f"{P}.env.DUCKDB_THREADS",
        f"{P}.env.DUCKDB_MEMORY_LIMIT",
    ]
