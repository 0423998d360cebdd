import pytest

from slipway.config.base import Image
from slipway.config.images import from_registry


@pytest.mark.parametrize(
    ("repository", "registry", "name"),
    [
        ("postgres", "", "postgres"),
        ("ghcr.io/team/app", "", "ghcr.io/team/app"),
        ("postgres", "r.example.com", "r.example.com/postgres"),
        ("slipway/platform", "r.example.com:5000", "r.example.com:5000/slipway/platform"),
        ("ghcr.io/team/app", "r.example.com", "r.example.com/team/app"),
        ("ghcr.io/team/deep/app", "r.example.com/mirror/ghcr", "r.example.com/mirror/ghcr/team/deep/app"),
        ("registry:5000/app", "r.example.com", "r.example.com/app"),
        ("localhost/app", "r.example.com", "r.example.com/app"),
        ("localhost:5000/app", "r.example.com", "r.example.com/app"),
        ("localhosts/app", "r.example.com", "r.example.com/localhosts/app"),
        ("team/app.v2", "r.example.com", "r.example.com/team/app.v2"),
        ("app.v2", "r.example.com", "r.example.com/app.v2"),
        ("localhost", "r.example.com", "r.example.com/localhost"),
        ("r.example.com/app", "r.example.com", "r.example.com/app"),
    ],
)
def test_the_registry_takes_the_place_of_the_images_own(repository: str, registry: str, name: str) -> None:
    assert from_registry(Image(repository=repository, tag="1"), registry) == f"{name}:1"
