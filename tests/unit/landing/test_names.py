from pathlib import PurePosixPath

import pytest

from slipway.landing.download import local_name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("orders/2024-01-01.csv.gz", "00007-2024-01-01.csv.gz"),
        ("a/b/../../etc/passwd", "00007-passwd"),
        ("..", "00007-object"),
        ("a/", "00007-object"),
        ('it\'s "quoted"; DROP TABLE x; --.csv', "00007-it_s__quoted___DROP_TABLE_x__--.csv"),
        ("new\nline*?[x].json", "00007-new_line___x_.json"),
        ("café.parquet", "00007-caf_.parquet"),
        ("--option", "00007-option"),
    ],
)
def test_keys_become_harmless_names(key, name):
    assert local_name(7, key) == name
    assert PurePosixPath(name).parts == (name,)


def test_long_keys_keep_their_suffix():
    name = local_name(1, "x" * 1000 + ".jsonl.gz")
    assert name.endswith(".jsonl.gz")
    assert len(name) < 120
