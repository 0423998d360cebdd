import duckdb as engine
import pytest

from slipway.config import duckdb

MIB = 2**20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8_000_000_000),
        ("8GiB", 8 * 2**30),
        ("8 GB", 8_000_000_000),
        ("8gb", 8_000_000_000),
        ("8G", 8_000_000_000),
        ("1.5GiB", 3 * 2**29),
        (".5GB", 500_000_000),
        ("512M", 512_000_000),
        ("512 megabytes", 512_000_000),
        ("1e3MB", 1_000_000_000),
        ("700000000 bytes", 700_000_000),
        ("700000000B", 700_000_000),
        ("  1TiB ", 2**40),
    ],
)
def test_size(text: str, size: int) -> None:
    assert duckdb.parse_size(text) == size
    with engine.connect() as connection:
        connection.execute(f"SET memory_limit = '{text}'")
        shown = connection.execute("SELECT current_setting('memory_limit')").fetchone()
        connection.execute(f"SET memory_limit = '{size}B'")
        assert shown == connection.execute("SELECT current_setting('memory_limit')").fetchone()


@pytest.mark.parametrize(
    "text",
    ["", "8Gi", "512", "80%", "8GBs", "8,5GB", "1_000MB", "1PB", "+8GB", "2mebibytes", "100000000TB", "x"],
)
def test_what_duckdb_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"DuckDB"):
        duckdb.parse_size(text)
    with engine.connect() as connection, pytest.raises(engine.Error):
        connection.execute(f"SET memory_limit = '{text}'")


@pytest.mark.parametrize("text", ["-1", "none", "null"])
def test_no_limit_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        duckdb.parse_size(text)


@pytest.mark.parametrize(
    ("text", "meant"), [("8Gi", "8GiB"), ("512Mi", "512MiB"), ("512", "512B"), ("8gbs", "8GB")]
)
def test_nearest_size(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        duckdb.parse_size(text)


@pytest.mark.parametrize(
    ("limit", "heap", "ceiling", "derived"),
    [
        # All in MiB. Below 1280 MiB Python's least share counts, and the ceiling is the lower of the two.
        (576, 256, 64, 64),
        (1024, 256, 512, 512),
        (1280, 256, 768, 704),
        (2048, 409.6, 1382.4, 1126),
        (12288, 2457.6, 9574.4, 6758),
    ],
)
def test_derivation(limit: int, heap: float, ceiling: float, derived: int) -> None:
    assert duckdb.heap(limit * MIB) == int(heap * MIB)
    assert duckdb.ceiling(limit * MIB) == pytest.approx(ceiling * MIB, abs=1)
    assert duckdb.derived(limit * MIB) == derived * MIB


def test_the_smallest_limit_is_the_smallest() -> None:
    assert duckdb.derived(duckdb.SMALLEST_LIMIT) == duckdb.SMALLEST
    assert duckdb.derived(duckdb.SMALLEST_LIMIT - 1) < duckdb.SMALLEST


def test_a_larger_limit_never_leaves_less() -> None:
    limits = range(0, 20_000 * MIB, 37 * MIB + 1)
    derived = [duckdb.derived(limit) for limit in limits]
    assert derived == sorted(derived)
    assert all(duckdb.derived(limit) <= duckdb.ceiling(limit) for limit in limits)


def test_arithmetic_adds_up() -> None:
    assert duckdb.arithmetic(1024 * MIB) == (
        "1024 MiB - 256 MiB for the process - 256 MiB for Python's heap (20 %, at least 256 MiB) = 512 MiB"
    )


@pytest.mark.parametrize("size", [512 * MIB, 8_000_000_000])
def test_format_is_exact_and_duckdb_takes_it(size: int) -> None:
    text = duckdb.format_size(size)
    assert duckdb.parse_size(text) == size
    with engine.connect() as connection:
        connection.execute(f"SET memory_limit = '{text}'")
