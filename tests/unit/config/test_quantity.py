"""Cases from the documentation and the tables of Kubernetes' own `resource.Quantity`."""

from decimal import Decimal

import pytest

from slipway.config import quantity

VALUES = [
    ("0", "0"),
    ("0n", "0"),
    ("0Ki", "0"),
    ("0T", "0"),
    ("1", "1"),
    ("1Ki", 2**10),
    ("7Mi", 7 * 2**20),
    ("6Gi", 6 * 2**30),
    ("5Ti", 5 * 2**40),
    ("4Pi", 4 * 2**50),
    ("3Ei", 3 * 2**60),
    ("5n", "5e-9"),
    ("4u", "4e-6"),
    ("3m", "3e-3"),
    ("8k", "8e3"),
    ("7M", "7e6"),
    ("6G", "6e9"),
    ("5T", "5e12"),
    ("2P", "2e15"),
    ("1E", "1e18"),
    ("1E-3", "1e-3"),
    ("1e3", "1e3"),
    ("1E18", "1e18"),
    ("1.3E+6", "1.3e6"),
    ("100.035k", "100035"),
    ("0.0005k", "0.5"),
    ("0.05000", "0.05"),
    ("10.035M", "10035e3"),
    ("6.987654321G", "6987654321"),
    ("100.035Ki", "102435.84"),
    ("0.05Gi", "53687091.2"),
    ("0.025Ti", "27487790694.4"),
    (".001", "1e-3"),
    (".0001k", "0.1"),
    ("1.", "1"),
    ("1.G", "1e9"),
    ("+1.5", "1.5"),
    ("-3.01", "-3.01"),
    # Kubernetes' guide: all of these are about the same memory.
    ("128974848", "128974848"),
    ("129e6", "129e6"),
    ("129M", "129e6"),
    ("128974848000m", "128974848"),
    ("123Mi", 123 * 2**20),
    # Finer than a billionth is rounded away from zero, larger than 2^63 - 1 is capped.
    ("3.001n", "4e-9"),
    ("-3.001n", "-4e-9"),
    ("0.0000000001", "1e-9"),
    ("0.00000012345", "124e-9"),
    ("0.000000000001Ki", "2e-9"),
    ("1e-5000", "1e-9"),
    ("9Ei", 2**63 - 1),
    ("9223372036854775807Ki", 2**63 - 1),
    ("1e5000", 2**63 - 1),
    ("-9Ei", 1 - 2**63),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_value(text: str, value: str | int) -> None:
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.1.M",
        "1+1.0M",
        "0.1mi",
        "0.1am",
        "aoeu",
        ".5i",
        "1i",
        "-3.01i",
        "-3.01e-",
        " 1",
        "1 ",
        "1 Gi",
        ".",
    ],
)
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "Mi",
        "+",
        "1e",
        "1e3.0",
        "1ee3",
        "1eKi",
        "1Kii",
        "1,5",
        "1_000",
        "\u0663",
        "0x10",
        "inf",
        "nan",
        "1e3\n",
    ],
)
def test_what_other_readers_of_numbers_take(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("4GB", "4G"),
        ("4GiB", "4Gi"),
        ("4gi", "4Gi"),
        ("4g", "4G"),
        ("512mb", "512M"),
        ("512 Mi", "512Mi"),
        ("512mib", "512Mi"),
        ("1,5Gi", "1.5Gi"),
        ("1_000", "1000"),
        ("10K", "10Ki"),
        ("10kb", "10k"),
        ("2cores", "2"),
        ("500mcpu", "500m"),
        ("500millicores", "500m"),
        (" 1", "1"),
    ],
)
def test_nearest_spelling(text: str, meant: str) -> None:
    quantity.parse(meant)
    with pytest.raises(ValueError, match=rf"did you mean '{meant}'\?$"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "cores"), [("1000m", "1"), ("250m", "0.25"), ("0.5", "0.5"), ("8000m", "8"), ("0.1m", "0.001")]
)
def test_cpu(text: str, cores: str) -> None:
    assert quantity.parse_cpu(text) == Decimal(cores)


@pytest.mark.parametrize(
    ("text", "size"),
    [("12Gi", 12884901888), ("1.5", 2), ("400m", 1), ("1G", 10**9), ("0.1Ki", 103), ("1E", 10**18)],
)
def test_bytes_are_whole_and_rounded_up(text: str, size: int) -> None:
    assert quantity.parse_bytes(text) == size


@pytest.mark.parametrize("parse", [quantity.parse_cpu, quantity.parse_bytes])
def test_amounts_are_not_negative(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="'-1' is negative"):
        parse("-1")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1500, "1500"), (1024, "1Ki"), (3 * 2**29, "1536Mi"), (12 * 2**30, "12Gi")]
)
def test_format_bytes_is_exact(size: int, text: str) -> None:
    assert quantity.format_bytes(size) == text
    assert quantity.parse_bytes(text) == size


@pytest.mark.parametrize(
    ("cores", "text"), [("8", "8"), ("0.25", "250m"), ("1.5", "1500m"), ("10", "10"), ("0.001", "1m")]
)
def test_format_cpu_is_exact(cores: str, text: str) -> None:
    assert quantity.format_cpu(Decimal(cores)) == text
    assert quantity.parse_cpu(text) == Decimal(cores)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (12 * 2**30, "12 GiB"),
        (8 * 2**30 - 5000, "8 GiB"),
        (1536 * 2**20, "1.5 GiB"),
        (300 * 2**20, "300 MiB"),
    ],
)
def test_readable(size: int, text: str) -> None:
    assert quantity.readable(size) == text
