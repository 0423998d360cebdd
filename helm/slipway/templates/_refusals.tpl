{{/*
What the schema lets pass and cannot work: found before anything is installed, and all of it at once. Each finding names
its key and the way out, as `slipway check` does.

  slipway.refusals        .                            JSON list of findings: what every template in this file finds
  slipway.refusals.lines  (dict "root" $ "of" NAME)    JSON list of what one of them finds, which it writes a line each

What refers to Secrets is asked of the cluster, where one can be asked.
*/}}

{{- define "slipway.refusals" -}}
{{- $found := include "slipway.refusals.lines" (dict "root" . "of" "sections") | fromJsonArray }}
{{- if not $found }}
{{- range list "references" "names" "services" "ingress" "environment" "lengths" "secrets" }}
{{- $found = concat $found (include "slipway.refusals.lines" (dict "root" $ "of" .) | fromJsonArray) }}
{{- end }}
{{- end }}
{{- $found | uniq | toJson -}}
{{- end }}

{{- define "slipway.refusals.lines" -}}
{{- $found := list }}
{{- range include (printf "slipway.refusals.%s" .of) .root | splitList "\n" }}
{{- with trim . }}{{ $found = append $found . }}{{ end }}
{{- end }}
{{- toJson $found -}}
{{- end }}

{{/* Sections that are there and empty: Helm takes them for a wish to be without the defaults. */}}
{{- define "slipway.refusals.sections" -}}
{{- range list "infrastructure" "observability" "postgres" "storage" "lake" "landing" "code_locations" "defaults" "concurrency" "kubernetes" }}
{{- if not (kindIs "map" (get $.Values .)) }}
{{ . }}: has no value; give one, such as {}, or remove the key
{{- end }}
{{- end }}
{{- range $name, $section := .Values.storage }}
{{- if not (kindIs "map" $section) }}
storage.{{ $name }}: has no value; give one, such as {}, or remove the key
{{- end }}
{{- end }}
{{- if kindIs "map" .Values.kubernetes }}
{{- range list "image" "commonLabels" "commonAnnotations" "webserver" "webserverReadOnly" "daemon" "bootstrap" "codeServers" "codeLocations" "runs" "postgres" "localstack" "duckdbFiles" "ingress" "networkPolicies" }}
{{- if not (kindIs "map" (get $.Values.kubernetes .)) }}
kubernetes.{{ . }}: has no value; give one, such as {}, or remove the key
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* References that no pod can have. */}}
{{- define "slipway.refusals.references" -}}
{{- range $key, $reference := merge (include "slipway.references.shared" . | fromJson) (include "slipway.references.locations" . | fromJson) }}
{{- if $reference.file }}
{{ $key }}: {file: {{ $reference.file }}} is a file that no pod has; refer to a key of a Secret instead: {secret: {name: NAME, key: KEY}}
{{- end }}
{{- end }}
{{- end }}

{{/* Names that stand for nothing. */}}
{{- define "slipway.refusals.names" -}}
{{- $given := .Values.infrastructure.resource_profiles | default dict }}
{{- $profiles := append (keys $given) "default" | uniq | sortAlpha }}
{{- $storages := append (keys .Values.storage) "default" | uniq | sortAlpha }}
{{- $named := dict "defaults.profile" .Values.defaults.profile }}
{{- range $name, $location := .Values.code_locations }}
{{- $_ := set $named (printf "code_locations.%s.profile" $name) $location.profile }}
{{- end }}
{{- range $name, $profile := $given }}
{{- $_ := set $named (printf "infrastructure.resource_profiles.%s.on_oom" $name) $profile.on_oom }}
{{- end }}
{{- range $key, $profile := $named }}
{{- if and $profile (not (has $profile $profiles)) }}
{{ $key }}: there is no resource profile '{{ $profile }}'; there is: {{ join ", " $profiles }}
{{- end }}
{{- end }}
{{- $logs := .Values.observability.compute_logs | default dict }}
{{- $named = dict "lake.storage_ref" .Values.lake.storage_ref "observability.compute_logs.storage_ref" $logs.storage_ref }}
{{- range $name, $landing := .Values.landing }}
{{- $_ := set $named (printf "landing.%s.storage_ref" $name) $landing.storage_ref }}
{{- end }}
{{- range $key, $storage := $named }}
{{- if and $storage (not (has $storage $storages)) }}
{{ $key }}: there is no storage '{{ $storage }}'; there is: {{ join ", " $storages }}
{{- end }}
{{- end }}
{{- range $name, $_ := .Values.kubernetes.codeLocations }}
{{- if not (hasKey $.Values.code_locations $name) }}
kubernetes.codeLocations.{{ $name }}: there is no code location '{{ $name }}'; there is: {{ keys $.Values.code_locations | sortAlpha | join ", " | default "none" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Services that are said to be both the chart's own and somebody else's, or neither. */}}
{{- define "slipway.refusals.services" -}}
{{- $postgres := .Values.postgres }}
{{- if $postgres.host }}
{{- if $postgres.bundled }}
postgres.bundled: true, and postgres.host is '{{ $postgres.host }}'; remove one of the two
{{- end }}
{{- if and $postgres.password (not $postgres.user) }}
postgres.password: without a user; give postgres.user
{{- end }}
{{- else }}
{{- if eq (toString $postgres.bundled) "false" }}
postgres.bundled: false, and there is no host; give postgres.host
{{- end }}
{{- range omit $postgres "bundled" "host" | keys | sortAlpha }}
postgres.{{ . }}: changes nothing on the bundled Postgres; give postgres.host too, or remove it
{{- end }}
{{- end }}
{{- range $name, $storage := .Values.storage }}
{{- if $storage.bundled }}
{{- range omit $storage "bundled" "region" | keys | sortAlpha }}
storage.{{ $name }}.{{ . }}: the bundled S3 brings its own; remove it, or bundled: true if the S3 is yours
{{- end }}
{{- else if ne (not $storage.access_key_id) (not $storage.secret_access_key) }}
storage.{{ $name }}: access_key_id and secret_access_key go together; give both, or neither for the ambient credentials
{{- end }}
{{- end }}
{{- end }}

{{/* Doors that lead nowhere, or let everybody in without somebody having said so. */}}
{{- define "slipway.refusals.ingress" -}}
{{- $kubernetes := .Values.kubernetes }}
{{- $servers := dict "full" "webserver" "readOnly" "webserverReadOnly" }}
{{- range $name, $ingress := $kubernetes.ingress }}
{{- if $ingress.enabled }}
{{- $key := printf "kubernetes.ingress.%s" $name }}
{{- $server := get $servers $name }}
{{- if not $ingress.host }}
{{ $key }}.host: enabled, and without a host; give the host name that it is for
{{- end }}
{{- if not (or $ingress.authentication.annotations $ingress.allowUnauthenticated) }}
{{ $key }}.authentication: Dagster asks nobody who they are; give {{ $key }}.authentication.annotations, by which your ingress controller asks, or {{ $key }}.allowUnauthenticated: true
{{- end }}
{{- if and $ingress.authentication.annotations $ingress.allowUnauthenticated }}
{{ $key }}.allowUnauthenticated: true, and there are authentication annotations; remove one of the two
{{- end }}
{{- if eq (int (get $kubernetes $server).replicas) 0 }}
{{ $key }}.enabled: its webserver has no pod; set kubernetes.{{ $server }}.replicas to 1 or more
{{- end }}
{{- end }}
{{- end }}
{{- $full := $kubernetes.ingress.full }}
{{- $readOnly := $kubernetes.ingress.readOnly }}
{{- if and $full.enabled $readOnly.enabled $full.host (eq (toString $full.host) (toString $readOnly.host)) (eq (trimSuffix "/" $full.path) (trimSuffix "/" $readOnly.path)) }}
kubernetes.ingress.readOnly: has host and path of kubernetes.ingress.full; give it a host or a path of its own
{{- end }}
{{- end }}

{{/* Variables that the platform sets itself. */}}
{{- define "slipway.refusals.environment" -}}
{{- $lists := dict }}
{{- $kubernetes := .Values.kubernetes }}
{{- range list "webserver" "webserverReadOnly" "daemon" "bootstrap" "codeServers" "runs" }}
{{- $_ := set $lists (printf "kubernetes.%s.env" .) (get $kubernetes .).env }}
{{- end }}
{{- range $name, $overrides := $kubernetes.codeLocations }}
{{- $_ := set $lists (printf "kubernetes.codeLocations.%s.env" $name) $overrides.env }}
{{- $_ := set $lists (printf "kubernetes.codeLocations.%s.runs.env" $name) ($overrides.runs | default dict).env }}
{{- end }}
{{- range $key, $variables := $lists }}
{{- range $variables }}
{{- if or (hasPrefix "SLIPWAY_" .name) (has .name (list "DAGSTER_HOME" "DAGSTER_CURRENT_IMAGE")) }}
{{ $key }}: the platform sets {{ .name }} itself; choose another name
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $location := .Values.code_locations }}
{{- range $variable, $_ := $location.env }}
{{- if or (hasPrefix "SLIPWAY_" $variable) (has $variable (list "DAGSTER_HOME" "DAGSTER_CURRENT_IMAGE")) }}
code_locations.{{ $name }}.env.{{ $variable }}: the platform sets this itself; choose another name
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Names of objects that Kubernetes would not take: a Service's has 63 characters at most. */}}
{{- define "slipway.refusals.lengths" -}}
{{- $fullname := include "slipway.fullname" . }}
{{- $longest := printf "%s-webserver-read-only" $fullname }}
{{- if gt (len $longest) 63 }}
the release's name '{{ .Release.Name }}' is too long: '{{ $longest }}' has {{ len $longest }} characters, and Kubernetes takes 63; choose a shorter one
{{- end }}
{{- range $name, $_ := .Values.code_locations }}
{{- $service := printf "%s-code-%s" $fullname (include "slipway.location" $name) }}
{{- if gt (len $service) 63 }}
code_locations.{{ $name }}: its Service '{{ $service }}' would have {{ len $service }} characters, and Kubernetes takes 63; choose a shorter name for the location or for the release '{{ $.Release.Name }}'
{{- end }}
{{- end }}
{{- end }}

{{/* Secrets that are referred to and not there. A namespace without its own service account is one that nobody asked. */}}
{{- define "slipway.refusals.secrets" -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" }}
{{- range $key, $reference := merge (include "slipway.references.shared" . | fromJson) (include "slipway.references.locations" . | fromJson) }}
{{- with include "slipway.reference" (dict "root" $ "reference" $reference) | fromYaml }}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace .name }}
{{- if not $secret }}
{{ $key }}: refers to '{{ .key }}' of the Secret '{{ .name }}', which is not there; make it: kubectl -n {{ $.Release.Namespace }} create secret generic {{ .name }} --from-literal={{ .key }}=…
{{- else if not (hasKey ($secret.data | default dict) .key) }}
{{ $key }}: the Secret '{{ .name }}' has no key '{{ .key }}'; it has: {{ keys ($secret.data | default dict) | sortAlpha | join ", " | default "none" }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.kubernetes.imagePullSecrets }}
{{- if not (lookup "v1" "Secret" $.Release.Namespace .name) }}
kubernetes.imagePullSecrets: the Secret '{{ .name }}' is not there; make it: kubectl -n {{ $.Release.Namespace }} create secret docker-registry {{ .name }} …
{{- end }}
{{- end }}
{{- end }}
{{- end }}
