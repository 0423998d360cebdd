"""The section `kubernetes` of platform.yaml: what the chart and run pods need and other runtimes do not have.

Keys are Kubernetes' own, in camelCase, and what is Kubernetes' own is passed through to it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from slipway.config.base import Image, Memory, Name, Resources, StrictModel, VariableName

Texts = dict[str, str]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""Name of a Kubernetes object."""

Port = Annotated[int, Field(ge=1, le=65535)]


def _nothing_required(schema: dict[str, Any]) -> None:
    schema.pop("required", None)


class KubernetesModel(StrictModel):
    """Base of what is written in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


class Toleration(KubernetesModel):
    """As Kubernetes' Toleration."""

    key: str | None = Field(default=None, description="Key of the taint.")
    operator: Literal["Exists", "Equal"] | None = Field(default=None, description="How the key is compared.")
    value: str | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint."
    )
    toleration_seconds: int | None = Field(default=None, description="How long NoExecute is tolerated.")


class Affinity(KubernetesModel):
    """As Kubernetes' Affinity."""

    node_affinity: dict[str, Any] | None = Field(default=None, description="As Kubernetes' NodeAffinity.")
    pod_affinity: dict[str, Any] | None = Field(default=None, description="As Kubernetes' PodAffinity.")
    pod_anti_affinity: dict[str, Any] | None = Field(
        default=None, description="As Kubernetes' PodAntiAffinity."
    )


class EnvVar(KubernetesModel):
    """As Kubernetes' EnvVar."""

    name: VariableName = Field(description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value.")
    value_from: dict[str, Any] | None = Field(default=None, description="As Kubernetes' EnvVarSource.")


class LocalObjectReference(KubernetesModel):
    """As Kubernetes' LocalObjectReference."""

    name: ObjectName = Field(description="Name of the object, in the platform's namespace.")


class Amounts(Resources):
    """Amounts of a container."""

    ephemeral_storage: Memory | None = Field(
        default=None, alias="ephemeral-storage", description="Bytes of the node's disk, such as 1Gi."
    )


class ServerResources(KubernetesModel):
    """As Kubernetes' ResourceRequirements."""

    requests: Amounts = Field(default=Amounts(), description="What the pod is sure to get.")
    limits: Amounts = Field(default=Amounts(), description="What the pod may use at most.")


def _resources(cpu: str, memory: str, most: str, cpu_most: str) -> ServerResources:
    return ServerResources(
        requests=Amounts(cpu=cpu, memory=memory), limits=Amounts(cpu=cpu_most, memory=most)
    )


class ServiceAccount(KubernetesModel):
    """The service account of some pods."""

    name: ObjectName | None = Field(
        default=None, description="A service account of your own. Default: one that the chart makes."
    )
    annotations: Texts = Field(
        default={}, description="Annotations of the one that the chart makes, such as an AWS role."
    )


class Placement(KubernetesModel):
    """Where pods go and what they carry: Kubernetes' own fields."""

    node_selector: Texts = Field(default={}, description="Labels that a node must have.")
    tolerations: list[Toleration] = Field(default=[], description="Taints that are tolerated.")
    affinity: Affinity = Field(default=Affinity(), description="Rules of attraction.")
    topology_spread_constraints: list[dict[str, Any]] = Field(
        default=[], description="As Kubernetes' TopologySpreadConstraints."
    )
    priority_class_name: ObjectName | None = Field(default=None, description="Name of a PriorityClass.")
    pod_annotations: Texts = Field(default={}, description="Annotations of the pods.")
    pod_labels: Texts = Field(default={}, description="Labels of the pods, beside the chart's own.")
    env: list[EnvVar] = Field(default=[], description="Further environment, as in a container.")


class Component(Placement):
    """A service of the platform."""

    resources: ServerResources = Field(
        default=ServerResources(), description="Requests and limits of the container."
    )
    service_account: ServiceAccount = Field(
        default=ServiceAccount(), description="The service account of the pods."
    )


class Service(KubernetesModel):
    """The Service in front of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service."
    )
    port: Port = Field(default=80, description="Port of the Service.")
    annotations: Texts = Field(default={}, description="Annotations of the Service.")


class Webserver(Component):
    """Dagster's webserver."""

    replicas: int = Field(default=1, ge=0, le=100, description="Pods.")
    service: Service = Field(default=Service(), description="The Service in front of the pods.")


class CodeServers(Component):
    """The code servers of all locations, unless codeLocations says otherwise for one."""

    replicas: int = Field(default=1, ge=1, le=100, description="Pods of each code server.")


class Runs(Placement):
    """The pods of runs; their resources are those of their resource profile."""

    service_account: ServiceAccount = Field(
        default=ServiceAccount(), description="The service account of the pods; no token of it is mounted."
    )


class CodeLocationOverrides(Placement):
    """One code location: what its code server has otherwise than codeServers, and its runs otherwise than runs."""

    replicas: int | None = Field(default=None, ge=1, le=100, description="Pods of the code server.")
    resources: ServerResources = Field(
        default=ServerResources(), description="Requests and limits of the code server."
    )
    egress: list[dict[str, Any]] = Field(
        default=[],
        description="What code server and runs may reach beside Postgres, S3 and DNS: NetworkPolicy egress rules.",
    )
    runs: Placement = Field(
        default=Placement(), description="Where the location's run pods go, and what they carry."
    )


class ChartImage(Image):
    """An image of the chart's own services; the part that is not given is the default's."""

    model_config = ConfigDict(json_schema_extra=_nothing_required)


class Volume(KubernetesModel):
    """A volume that the chart claims; the size that is not given is the default's."""

    model_config = ConfigDict(json_schema_extra=_nothing_required)

    size: Memory = Field(description="Size of the claim.")
    storage_class_name: str | None = Field(
        default=None, description="Its storage class. Default: the cluster's default."
    )


class BundledPostgres(Component):
    """The Postgres of a trial, there unless postgres.host is given."""

    image: ChartImage = Field(default=ChartImage(repository="postgres", tag="17"), description="Its image.")
    volume: Volume = Field(default=Volume(size="10Gi"), description="Its volume, kept on uninstall.")


class Keeper(KubernetesModel):
    """The process that saves the S3 of a trial before it stops, and restores it after."""

    resources: ServerResources = Field(
        default=ServerResources(), description="Requests and limits of the container."
    )


class BundledStorage(Component):
    """The S3 of a trial, there while some storage is bundled."""

    image: ChartImage = Field(
        default=ChartImage(repository="localstack/localstack", tag="4.14.0"), description="Its image."
    )
    volume: Volume = Field(
        default=Volume(size="20Gi"), description="Where it is kept between two starts; kept on uninstall."
    )
    keeper: Keeper = Field(
        default=Keeper(resources=_resources("20m", "128Mi", "512Mi", "1")),
        description="What saves it before it stops, and restores it after.",
    )


class DuckDBFiles(KubernetesModel):
    """The volumes of code locations that have a DuckDB file."""

    volume: Volume = Field(default=Volume(size="20Gi"), description="The volume of each, kept on uninstall.")


class Authentication(KubernetesModel):
    """How an ingress asks who is there: by annotations that its controller understands."""

    annotations: Texts = Field(
        default={}, description="Annotations that make the ingress controller authenticate."
    )


class IngressTls(KubernetesModel):
    """As Kubernetes' IngressTLS."""

    hosts: list[str] = Field(default=[], description="Hosts of the certificate.")
    secret_name: ObjectName | None = Field(default=None, description="Secret of the certificate.")


class Ingress(KubernetesModel):
    """A door to a webserver from outside of the cluster."""

    enabled: bool = Field(default=False, description="Whether there is one.")
    class_name: str | None = Field(
        default=None, description="The IngressClass. Default: the cluster's default."
    )
    host: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
            ),
        ]
        | None
    ) = Field(default=None, description="Host name; needed where it is enabled.")
    path: str = Field(default="/", pattern=r"^/\S*$", description="Path below which the webserver is.")
    tls: list[IngressTls] = Field(default=[], description="Certificates.")
    annotations: Texts = Field(default={}, description="Annotations of the Ingress.")
    authentication: Authentication = Field(
        default=Authentication(), description="How it asks who is there; Dagster itself asks nobody."
    )
    allow_unauthenticated: bool = Field(
        default=False, description="Let in whoever reaches it, without authentication."
    )


class Ingresses(KubernetesModel):
    """The two doors."""

    full: Ingress = Field(default=Ingress(), description="To the webserver.")
    read_only: Ingress = Field(default=Ingress(), description="To a second webserver that changes nothing.")


class NetworkPolicies(KubernetesModel):
    """Who may speak to whom. Peers are Kubernetes' NetworkPolicyPeers."""

    enabled: bool = Field(default=True, description="Whether there are any.")
    dns_to: list[dict[str, Any]] = Field(
        default=[], description="Where the cluster's DNS is; none: anywhere, on the ports of DNS."
    )
    webserver_from: list[dict[str, Any]] = Field(
        default=[{"namespaceSelector": {}}], description="Who reaches the webservers: the ingress controller."
    )
    postgres_to: list[dict[str, Any]] = Field(
        default=[{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}],
        description="Where your own Postgres is.",
    )
    storage_to: list[dict[str, Any]] = Field(
        default=[{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}],
        description="Where your own S3 is.",
    )
    api_server_to: list[dict[str, Any]] = Field(
        default=[{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}],
        description="Where the cluster's API server is; the daemon alone speaks to it.",
    )
    api_server_ports: list[Port] = Field(default=[443, 6443], description="Ports of the API server.")


def merged(default: Any, given: Any) -> Any:
    """What is given over a default, as Helm merges: maps key by key, anything else whole; null takes a default away."""
    if not (isinstance(default, dict) and isinstance(given, dict)):
        return given
    result = dict(default)
    for key, value in given.items():
        if value is None and key in default:
            del result[key]
        else:
            result[key] = merged(default.get(key), value)
    return result


class SmokeTest(KubernetesModel):
    """The file that `slipway smoke-test`, and so `helm test`, lands to see what becomes of it."""

    landing: str = Field(min_length=1, description="Landing that the file is put into.")
    key: str = Field(
        pattern=r"^([A-Za-z0-9_=.-]|\{id\})([A-Za-z0-9_=./-]|\{id\})*$",
        description="Its key below the landing's prefix. `{id}` is another text at each test; without it, the name of the file ends with one.",
    )
    content: str = Field(min_length=1, description="Its text; `{id}` is the same as in the key.")
    location: str = Field(min_length=1, description="Code location that takes it in.")
    table: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$",
        description="Table of the location's lake, as schema.table, that must then have rows of it. Default: any commit will do.",
    )


class Kubernetes(KubernetesModel):
    """What the chart and its run pods need; other runtimes read none of it."""

    @model_validator(mode="before")
    @classmethod
    def _over_the_defaults(cls, data: Any) -> Any:
        """What is given of a section, over the section's default: as Helm merges values.yaml."""
        if not isinstance(data, dict):
            return data
        defaults = {
            field.alias: field.default.model_dump(by_alias=True, exclude_none=True)
            for field in cls.model_fields.values()
            if isinstance(field.default, BaseModel)
        }
        return {key: merged(defaults.get(key), value) for key, value in data.items()}

    image: ChartImage = Field(
        default=ChartImage(repository="slipway/platform", tag="0.1.0"),
        description="Image of the platform's own services.",
    )
    image_registry: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9._:/-]*[a-z0-9])?$",
        description="Registry that every image is taken from, in place of its own; empty: each from its own.",
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When images are pulled."
    )
    image_pull_secrets: list[LocalObjectReference] = Field(
        default=[], description="Secrets for the registry, of every pod."
    )
    environment_secret: ObjectName | None = Field(
        default=None,
        description="The Secret in which {env: NAME} references are looked up, by key. Default: the release's name with -environment.",
    )
    common_labels: Texts = Field(default={}, description="Labels of every object.")
    common_annotations: Texts = Field(default={}, description="Annotations of every object.")
    webserver: Webserver = Field(
        default=Webserver(resources=_resources("100m", "512Mi", "1Gi", "1")),
        description="Dagster's webserver.",
    )
    webserver_read_only: Webserver = Field(
        default=Webserver(replicas=0, resources=_resources("100m", "512Mi", "1Gi", "1")),
        description="A second webserver that shows everything and changes nothing.",
    )
    daemon: Component = Field(
        default=Component(resources=_resources("150m", "512Mi", "1Gi", "1")),
        description="Dagster's daemon, and Slipway's.",
    )
    bootstrap: Component = Field(
        default=Component(resources=_resources("100m", "256Mi", "1Gi", "1")),
        description="The Job that makes and migrates what the platform stands on.",
    )
    code_servers: CodeServers = Field(
        default=CodeServers(resources=_resources("100m", "384Mi", "1Gi", "1")),
        description="The code servers.",
    )
    code_locations: dict[Name, CodeLocationOverrides] = Field(
        default={}, description="What is otherwise for one code location."
    )
    runs: Runs = Field(default=Runs(), description="The pods of runs.")
    postgres: BundledPostgres = Field(
        default=BundledPostgres(resources=_resources("100m", "256Mi", "1Gi", "1")),
        description="The Postgres of a trial.",
    )
    localstack: BundledStorage = Field(
        default=BundledStorage(resources=_resources("100m", "512Mi", "2Gi", "1")),
        description="The S3 of a trial.",
    )
    duckdb_files: DuckDBFiles = Field(default=DuckDBFiles(), description="Volumes of DuckDB files.")
    ingress: Ingresses = Field(default=Ingresses(), description="Doors to the webservers.")
    network_policies: NetworkPolicies = Field(default=NetworkPolicies(), description="Who may speak to whom.")
    pod_disruption_budgets: bool = Field(
        default=True, description="Whether servers of several pods keep one while nodes are drained."
    )
    test: SmokeTest | None = Field(
        default=None,
        description="The file that `helm test` lands. Default: it asks whether everything answers, and lands nothing.",
    )
