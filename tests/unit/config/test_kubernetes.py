"""The section `kubernetes`: what operators mistype, each with the key and the way out."""

import shutil
import subprocess
from pathlib import Path

import pytest

from slipway.config import loader, schema
from slipway.config.errors import PlatformFileError
from slipway.config.kubernetes import Kubernetes
from slipway.config.model import Platform

ROOT = Path(__file__).parents[3]
SHOP = "code_locations: {shop: {path: p, image: {repository: a, tag: b}, env: {REGION: eu}}}\n"


def problems(section: str) -> list[str]:
    """What is said about a section, a line per mistake, without what all keys of it begin with."""
    with pytest.raises(PlatformFileError) as caught:
        loader.parse(f"{SHOP}kubernetes:\n  {section}", "p")
    assert all(problem.line == 3 for problem in caught.value.problems)
    return [str(problem).removeprefix("p:3: kubernetes.") for problem in caught.value.problems]


OPEN_DOOR = (
    "true, and whoever reaches it may do everything: Dagster asks nobody who they are; "
    "give authentication.annotations, which your ingress controller understands, or allowUnauthenticated: true"
)
OBJECT = "is no name of a Kubernetes object: lower-case letters, digits, dots and hyphens"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        # Keys: other charts' names, other spellings, other places
        ("imagePullSecret: []", "imagePullSecret: unknown key; did you mean 'imagePullSecrets'?"),
        ("image_registry: r", "image_registry: unknown key; did you mean 'imageRegistry'?"),
        ("code_locations: {shop: {}}", "code_locations: unknown key; did you mean 'codeLocations'?"),
        ("webserver: {replicaCount: 2}", "webserver.replicaCount: unknown key; did you mean 'replicas'?"),
        ("webserver: {node_selector: {}}", "webserver.node_selector: unknown key; did you mean 'nodeSelector'?"),
        ("runs: {node-selector: {}}", "runs.node-selector: unknown key; did you mean 'nodeSelector'?"),
        ("webserver: {affinity: {podAntiAffinty: {}}}", "webserver.affinity.podAntiAffinty: unknown key; did you mean 'podAntiAffinity'?"),
        ("webserver: {tolerations: [{key: a}, {kye: a, operator: Exists}]}", "webserver.tolerations.1.kye: unknown key; did you mean 'key'?"),
        ("webserver: {ingress: {}}", "webserver.ingress: unknown key here; it belongs at kubernetes.ingress"),
        ("ingress: {enabled: true}", "ingress.enabled: unknown key here; it belongs at kubernetes.ingress.full.enabled or kubernetes.ingress.readOnly.enabled"),
        ("ingress: {full: {ingressClassName: nginx}}", "ingress.full.ingressClassName: unknown key; did you mean 'className'?"),
        ("ingress: {full: {tls: [{host: a}]}}", "ingress.full.tls.0.host: unknown key; did you mean 'hosts'?"),
        ("postgres: {volume: {storageClass: fast}}", "postgres.volume.storageClass: unknown key; did you mean 'storageClassName'?"),
        ("podDisruptionBudget: false", "podDisruptionBudget: unknown key; did you mean 'podDisruptionBudgets'?"),
        ("webserver: {resources: {memory: 2Gi}}", "webserver.resources.memory: unknown key here; it belongs at kubernetes.webserver.resources.requests.memory or kubernetes.webserver.resources.limits.memory"),
        ("daemon: {replicas: 2}", "daemon.replicas: Dagster has one daemon; remove it"),
        ("runs: {resources: {}}", "runs.resources: a run's resources are those of its resource profile; give them in infrastructure.resource_profiles"),
        ("codeLocations: {shop: {runs: {resources: {}}}}", "codeLocations.shop.runs.resources: a run's resources are those of its resource profile; give them in infrastructure.resource_profiles"),
        ("image: {registry: r}", "image.registry: one setting for every image; it belongs at kubernetes.imageRegistry"),
        ("image: {pullPolicy: Always}", "image.pullPolicy: one setting for every image; it belongs at kubernetes.imagePullPolicy"),
        # Values
        ("webserver:", "webserver: has no value; give a mapping of nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, podAnnotations, podLabels, env, resources, serviceAccount, replicas, service, or remove the key"),
        ("webserver: {replicas: '2'}", "webserver.replicas: is text, and it must be a whole number; write 2 without quotes"),
        ("webserver: {replicas: 101}", "webserver.replicas: 101 is too large, the most is 100"),
        ("codeServers: {replicas: 0}", "codeServers.replicas: 0 is too small, the least is 1"),
        ("webserver: {service: {port: 0}}", "webserver.service.port: 0 is too small, the least is 1"),
        ("webserver: {service: {type: Loadbalancer}}", "webserver.service.type: 'Loadbalancer' is not one of ClusterIP, NodePort, LoadBalancer; did you mean 'LoadBalancer'?"),
        ("webserver: {nodeSelector: {ssd: true}}", 'webserver.nodeSelector.ssd: is true, and it must be text; quote it: "true"'),
        ("webserver: {nodeSelector: ssd}", "webserver.nodeSelector: is text, and it must be a mapping of names to text"),
        ("commonLabels: {team: 1.10}", 'commonLabels.team: is the number 1.1, and it must be text; quote it: "1.10"'),
        ("imagePullPolicy: always", "imagePullPolicy: 'always' is not one of IfNotPresent, Always, Never; did you mean 'Always'?"),
        ("imagePullSecrets: [regcred]", "imagePullSecrets.0: is text, and it must be a mapping of name; write {name: regcred}"),
        ("imagePullSecrets: regcred", "imagePullSecrets: is text, and it must be a list of mappings of name"),
        ("imagePullSecrets: [{name: My Key}]", f"imagePullSecrets.0.name: 'My Key' {OBJECT}; did you mean 'my-key'?"),
        ("environmentSecret: my_env", f"environmentSecret: 'my_env' {OBJECT}; did you mean 'my-env'?"),
        ("imageRegistry: https://r.example.com/", "imageRegistry: 'https://r.example.com/' is no registry: host, port and folders, without https:// and without a slash at the end; did you mean 'r.example.com'?"),
        ("image: {repository: 'slipway/platform:0.2.0'}", "image.repository: 'slipway/platform:0.2.0' is no image repository: lower case, without the tag; did you mean 'slipway/platform'?"),
        ("image: {tag: 1.10}", 'image.tag: is the number 1.1, and it must be text; quote it: "1.10"'),
        ("postgres: {volume: {size: 10GB}}", "postgres.volume.size: '10GB' is not a quantity; did you mean '10G'?"),
        ("networkPolicies: false", "networkPolicies: is false, and it must be a mapping of enabled, dnsTo, webserverFrom, postgresTo, storageTo, apiServerTo, apiServerPorts"),
        ("networkPolicies: {apiServerPorts: [443, 70000]}", "networkPolicies.apiServerPorts.1: 70000 is too large, the most is 65535"),
        ("networkPolicies: {apiServerPorts: 6443}", "networkPolicies.apiServerPorts: is the number 6443, and it must be a list of whole numbers"),
        ("networkPolicies: {postgresTo: [10.0.0.0/8]}", "networkPolicies.postgresTo.0: is text, and it must be a mapping of names"),
        ("networkPolicies: {postgresTo: [{ipBlock: }]}", "networkPolicies.postgresTo.0.ipBlock: has no value; give one, such as {} for an empty mapping, or remove the key"),
        # Environments
        ("webserver: {env: {LEVEL: debug}}", "webserver.env: is a mapping, and it must be a list of mappings of name, value, valueFrom; write a list: [{name: LEVEL, value: …}]"),
        ("webserver: {env: [{name: MY-KEY}]}", "webserver.env.0.name: 'MY-KEY' is no name of an environment variable; did you mean 'MY_KEY'?"),
        ("webserver: {env: [{name: A, value: 1}]}", 'webserver.env.0.value: is the number 1, and it must be text; quote it: "1"'),
        ("daemon: {env: [{name: A, value: x, valueFrom: {}}]}", "daemon.env.0: A has both value and valueFrom; keep one"),
        ("daemon: {env: [{name: A, value: x}, {name: A, value: z}]}", "daemon.env.0.name: A is given more than once; keep one"),
        ("runs: {env: [{name: SLIPWAY_RUNTIME, value: x}]}", "runs.env.0.name: SLIPWAY_RUNTIME is the platform's own; choose another name"),
        ("codeLocations: {shop: {runs: {env: [{name: DAGSTER_HOME, value: x}]}}}", "codeLocations.shop.runs.env.0.name: DAGSTER_HOME is the platform's own; choose another name"),
        ("runs: {env: [{name: DUCKDB_THREADS, value: '1'}]}", "runs.env.0.name: a run's resource profile decides DUCKDB_THREADS; put it into the env of a profile under infrastructure.resource_profiles"),
        ("codeLocations: {shop: {env: [{name: REGION, value: us}]}}", "codeLocations.shop.env.0.name: REGION is given in code_locations.shop.env too; keep one: there it counts on every runtime, here on Kubernetes alone"),
        # What contradicts itself
        ("codeLocations: {shopp: {}}", "codeLocations.shopp: there is no code location 'shopp'; did you mean 'shop'?"),
        ("webserver: {tolerations: [{key: a, operator: Exists, value: b}]}", "webserver.tolerations.0.value: operator Exists takes no value; remove one of the two"),
        ("webserver: {tolerations: [{effect: NoSchedule}]}", "webserver.tolerations.0: no key; name the taint's key, or operator: Exists for every taint"),
        ("webserver: {tolerations: [{key: a, tolerationSeconds: 5}]}", "webserver.tolerations.0.tolerationSeconds: is for effect NoExecute alone; remove it, or give the effect"),
        ("webserver: {resources: {limits: {memory: 256Mi}}}", "webserver.resources.limits.memory: 256Mi is below the request of 512Mi; raise it, or lower requests.memory"),
        ("webserver: {resources: {requests: {memory: 2Gi}}}", "webserver.resources.requests.memory: 2Gi is above the limit of 1Gi; lower it, or raise limits.memory too"),
        ("localstack: {keeper: {resources: {limits: {memory: 64Mi}}}}", "localstack.keeper.resources.limits.memory: 64Mi is below the request of 128Mi; raise it, or lower requests.memory"),
        ("codeLocations: {shop: {resources: {limits: {memory: 128Mi}}}}", "codeLocations.shop.resources.limits.memory: 128Mi is below the request of 384Mi; raise it, or lower requests.memory"),
        ("webserver: {serviceAccount: {name: x, annotations: {a: b}}}", "webserver.serviceAccount.annotations: are for the account that the chart makes, and name is one of your own; annotate that one, or remove name"),
        ("runs: {podLabels: {slipway/location: x}}", 'runs.podLabels."slipway/location": the platform sets this label itself; choose another name'),
        ("commonLabels: {app.kubernetes.io/name: x}", 'commonLabels."app.kubernetes.io/name": the platform sets this label itself; choose another name'),
        ("ingress: {full: {enabled: true, allowUnauthenticated: true}}", "ingress.full.enabled: true, and there is no host; give host, such as dagster.example.com"),
        ("ingress: {full: {enabled: true, host: d.example.com}}", f"ingress.full.enabled: {OPEN_DOOR}"),
        ("ingress: {full: {enabled: true, host: d, authentication: {annotations: {a: b}}, allowUnauthenticated: true}}", "ingress.full.allowUnauthenticated: true, and there are authentication.annotations; remove one of the two"),
        ("ingress: {readOnly: {enabled: true, host: d, allowUnauthenticated: true}}", "ingress.readOnly.enabled: true, and kubernetes.webserverReadOnly.replicas is 0: nothing would answer; give kubernetes.webserverReadOnly.replicas: 1"),
        ("{webserverReadOnly: {replicas: 1}, ingress: {full: {enabled: true, host: d, allowUnauthenticated: true}, readOnly: {enabled: true, host: d, path: /, allowUnauthenticated: true}}}", "ingress.readOnly.host: d is the full webserver's too; give it a host or path of its own"),
        ("ingress: {full: {host: 'https://d.example.com/x'}}", "ingress.full.host: 'https://d.example.com/x' is no host name or address; did you mean 'd.example.com'?"),
        ("ingress: {full: {path: dagster}}", "ingress.full.path: 'dagster' is no path: it begins with a slash; did you mean '/dagster'?"),
    ],
)  # fmt: skip
def test_what_does_not_belong(section: str, said: str) -> None:
    assert problems(section) == [said]


@pytest.mark.parametrize(
    "section",
    [
        "{}",
        "webserver: {tolerations: [{operator: Exists}, {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]}",
        "webserver: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}}",
        "webserver: {resources: {requests: {memory: 2Gi}, limits: {memory: 2Gi}}}",
        "webserver: {env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}, {name: B, value: ''}]}",
        "runs: {serviceAccount: {annotations: {eks.amazonaws.com/role-arn: r}}, podLabels: {team: data}}",
        "codeLocations: {shop: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}], runs: {priorityClassName: low}}}",
        "imageRegistry: registry.example.com:5000/mirror",
        "ingress: {full: {enabled: true, host: '*.example.com', authentication: {annotations: {a: b}}}}",
        "{webserverReadOnly: {replicas: 1}, ingress: {readOnly: {enabled: true, host: d, path: /ro, allowUnauthenticated: true}}}",
    ],
)
def test_what_does(section: str) -> None:
    loader.parse(f"{SHOP}kubernetes:\n  {section}", "p")


def test_what_is_not_given_of_a_section_is_its_default() -> None:
    given = "{image: {tag: '7'}, postgres: {volume: {storageClassName: fast}}, webserver: {resources: {limits: {memory: 3Gi}}}}"
    kubernetes = loader.parse(f"kubernetes: {given}", "p").kubernetes
    assert str(kubernetes.image) == "slipway/platform:7"
    assert (kubernetes.postgres.volume.size, kubernetes.postgres.image.tag) == ("10Gi", "17")
    assert kubernetes.webserver.resources.limits.memory == "3Gi"
    assert kubernetes.webserver.resources.limits.cpu == Kubernetes().webserver.resources.limits.cpu
    assert kubernetes.webserver.resources.requests == Kubernetes().webserver.resources.requests


def test_null_takes_a_default_away_where_none_is_meaningful() -> None:
    kubernetes = loader.parse("kubernetes: {webserver: {resources: {limits: {cpu: null}}}}", "p").kubernetes
    assert kubernetes.webserver.resources.limits.cpu is None
    assert kubernetes.webserver.resources.limits.memory == Kubernetes().webserver.resources.limits.memory
    assert problems("webserver: {replicas: null}") == [
        "webserver.replicas: has no value; give a whole number, or remove the key"
    ]
    assert problems("environmentSecret: null") == [
        "environmentSecret: has no value; give text, or remove the key"
    ]


# Helm


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of the generated values and schema, with one template that shows what they come to."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(
        "apiVersion: v2\nname: slipway\nversion: 0.1.0\nicon: https://example.com/i.png\n"
    )
    (tmp_path / "values.yaml").write_text(schema.values())
    (tmp_path / "values.schema.json").write_text(schema.render())
    (tmp_path / "templates/values.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata:\n  values: |-\n    {{ .Values | toJson }}\n"
    )
    return tmp_path


def helm(*arguments: object) -> subprocess.CompletedProcess[str]:
    if shutil.which("helm") is None:
        pytest.skip("no helm")
    return subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True, check=False)


def as_helm_has_it(chart: Path, *arguments: object) -> Platform:
    result = helm("template", "r", chart, *arguments)
    assert result.returncode == 0, result.stderr
    return loader.parse_json(result.stdout.split("values: |-\n", 1)[1].strip(), "values")


def test_helm_lints_the_generated_files(chart: Path) -> None:
    result = helm("lint", "--strict", chart, "-f", ROOT / "platform.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_repositorys_platform_is_the_same_to_helm(chart: Path) -> None:
    ours = loader.load(ROOT / "platform.yaml")
    assert as_helm_has_it(chart, "-f", ROOT / "platform.yaml") == ours


EVERYTHING = """
infrastructure: {resource_profiles: {big: {limits: {cpu: 2, memory: 4Gi}, env: {A: "1e3", B: "010"}}}}
concurrency: {max_concurrent_runs: 10000, pools: {"a.b/c": 3}}
code_locations:
  a_shop: {path: p, image: {repository: "r:5000/a", tag: "1.10"}, env: {K: {secret: {name: s, key: k}}}}
kubernetes:
  image: {tag: "7"}
  webserver: {resources: {limits: {memory: 3Gi}}, tolerations: [{operator: Exists}], nodeSelector: {a: "true"}}
  postgres: {volume: {storageClassName: fast}}
  codeLocations: {a_shop: {runs: {topologySpreadConstraints: [{maxSkew: 1000000, topologyKey: zone}]}}}
  networkPolicies: {postgresTo: [], apiServerPorts: [16443]}
"""


def test_every_kind_of_value_is_the_same_to_helm(chart: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EVERYTHING)
    assert as_helm_has_it(chart, "-f", file) == loader.load(file)


def test_one_value_changes_just_that(chart: Path) -> None:
    ours = loader.load(ROOT / "platform.yaml")
    changed = as_helm_has_it(
        chart, "-f", ROOT / "platform.yaml", "--set", "code_locations.ecommerce.image.tag=0.2.0"
    )
    assert changed.code_locations["ecommerce"].image.tag == "0.2.0"
    image = ours.code_locations["ecommerce"].image
    again = changed.code_locations["ecommerce"].model_copy(update={"image": image})
    assert (
        changed.model_copy(update={"code_locations": {**changed.code_locations, "ecommerce": again}}) == ours
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("kubernetes.webserver.replicaCount=2", "replicaCount"),
        ("kubernetes.imageRegistry=https://r/", "/kubernetes/imageRegistry"),
        ("lakes.bucket=x", "lakes"),
        ("postgres.password=hunter2", "/postgres/password"),
    ],
)
def test_helm_names_a_wrong_key(setting: str, said: str, chart: Path) -> None:
    result = helm("template", "r", chart, "--set", setting)
    assert result.returncode != 0
    assert said in result.stderr
