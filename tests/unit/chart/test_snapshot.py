"""What a default install is made of changes only when somebody sees it."""

import chart_snapshot


def test_the_default_install_is_as_it_was() -> None:
    assert chart_snapshot.FILE.read_text("utf-8") == chart_snapshot.text(), (
        "see what changed, then: make format"
    )
