"""The services of a trial: what keeps their data whole."""

import subprocess
from pathlib import Path

from chart_platforms import rendered
from charts import Object, environment, platform, render


def test_localstack_starts_before_its_keeper_and_stops_after_it() -> None:
    pod = rendered("default").pod("StatefulSet", "slipway-localstack")["spec"]
    (sidecar,) = pod["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("localstack", "Always")
    (keeper,) = pod["containers"]
    assert keeper["args"] == ["slipway", "storage-keeper"]
    assert pod["terminationGracePeriodSeconds"] == 600
    mounted = {mount["mountPath"]: mount["name"] for mount in keeper["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claim = volumes[mounted["/var/lib/slipway/storage"]]["persistentVolumeClaim"]["claimName"]
    assert claim == "slipway-localstack"


def test_a_keeper_that_is_told_to_stop_is_not_ready() -> None:
    """A Service goes on with a pod that ends, as long as it is ready and there is no other."""
    keeper = rendered("default").pod("StatefulSet", "slipway-localstack")["spec"]["containers"][0]
    stop = keeper["lifecycle"]["preStop"]["exec"]["command"][-1]
    probe = keeper["readinessProbe"]["exec"]["command"][-1]
    assert "touch /tmp/stopping" in stop
    assert "! test -e /tmp/stopping" in probe
    seconds = int(stop.rpartition("sleep ")[2])
    assert (
        seconds > 2 * keeper["readinessProbe"]["periodSeconds"] * keeper["readinessProbe"]["failureThreshold"]
    )


def test_objects_have_as_much_room_as_what_is_saved_of_them() -> None:
    values = platform(kubernetes={"localstack": {"volume": {"size": "7Gi"}}})
    chart = render(values)
    volumes = {
        volume["name"]: volume for volume in chart.pod("StatefulSet", "slipway-localstack")["spec"]["volumes"]
    }
    assert volumes["objects"]["emptyDir"]["sizeLimit"] == "7Gi"
    claim = chart.one("PersistentVolumeClaim", "slipway-localstack")
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"


# Postgres, with programs in place of its own


def prepare(tmp_path: Path, password: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the script that comes before Postgres."""
    (container,) = rendered("default").pod("StatefulSet", "slipway-postgres")["spec"]["initContainers"]
    for name, body in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/bash\n{body}\n")
        program.chmod(0o755)
    env = {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "PGDATA": f"{tmp_path}/data",
        "POSTGRES_USER": "slipway",
        "POSTGRES_DB": "slipway",
        "POSTGRES_PASSWORD": password,
    }
    return subprocess.run(container["command"], env=env, capture_output=True, text=True, check=False)


POSTGRES = """
if [[ $1 == --version ]]; then echo 'postgres (PostgreSQL) 17.2 (Debian 17.2-1)'; else echo "$*: $(cat)" >>"${0%/bin/*}/said"; fi
"""
INITDB = 'mkdir "$2"; echo 17 >"$2/PG_VERSION"'


def test_the_database_is_made_once_and_knows_the_password_at_every_start(tmp_path: Path) -> None:
    first = prepare(tmp_path, "one", postgres=POSTGRES, initdb=INITDB)
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "data/pg_hba.conf").read_text() == "host all all all scram-sha-256\n"
    second = prepare(tmp_path, "it's", postgres=POSTGRES, initdb="exit 1")
    assert second.returncode == 0, second.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "CREATE DATABASE slipway",
        "ALTER ROLE slipway PASSWORD 'one'",
        "ALTER ROLE slipway PASSWORD 'it''s'",
    ]


def test_a_first_start_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    cut = prepare(tmp_path, "one", postgres=POSTGRES, initdb=f"{INITDB}; exit 1")
    assert cut.returncode == 1
    assert not (tmp_path / "data").exists()
    assert prepare(tmp_path, "one", postgres=POSTGRES, initdb=INITDB).returncode == 0
    assert (tmp_path / "data/PG_VERSION").exists()


def test_a_volume_of_another_postgres_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("16\n")
    result = prepare(tmp_path, "one", postgres=POSTGRES)
    assert result.returncode == 1
    assert "the volume is of Postgres 16, kubernetes.postgres.image is 17" in result.stderr
    assert not (tmp_path / "said").exists()


def test_postgres_is_asked_over_the_network_with_the_password() -> None:
    """From its own machine the public image lets in whoever asks."""
    pod = rendered("default").pod("StatefulSet", "slipway-postgres")["spec"]
    (server,) = pod["containers"]
    probe: Object = server["readinessProbe"]["exec"]
    assert 'PGPASSWORD=$POSTGRES_PASSWORD psql -X -h "$POD_IP"' in probe["command"][-1]
    assert environment(server)["POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert pod["securityContext"]["runAsUser"] == 999
