{{/*
What platform.yaml says, with the model's defaults where it says nothing: the sections are plain values here.

  slipway.platform            .   all of platform.yaml as JSON: for webservers, daemon, bootstrap
  slipway.platform.locations  .   the part that code servers may see: no location's environment, nothing of the cluster
  slipway.bundled.postgres    .   "true" while Postgres is the chart's own
  slipway.bundled.storage     .   "true" while something is kept on the chart's own S3
  slipway.bundled             .   "true" while either is
  slipway.storage  (dict "root" $ "name" N)   JSON: what is said of a storage; one that is not given is the bundled one
  slipway.storages            .   JSON: the names under storage that something is kept on, and what is said of each
  slipway.references.shared     .   JSON: references that every process of the platform needs, by their keys
  slipway.references.locations  .   JSON: those of the code locations' own environments, by their keys
*/}}

{{- define "slipway.platform" -}}
{{- omit .Values "global" | toJson -}}
{{- end }}

{{- define "slipway.platform.locations" -}}
{{- $locations := dict }}
{{- range $name, $location := .Values.code_locations }}
{{- $_ := set $locations $name (omit $location "env") }}
{{- end }}
{{- set (omit .Values "global" "kubernetes" "concurrency" | deepCopy) "code_locations" $locations | toJson -}}
{{- end }}

{{- define "slipway.bundled.postgres" -}}
{{- if not .Values.postgres.host }}true{{ end -}}
{{- end }}

{{- define "slipway.storages" -}}
{{- $values := .Values }}
{{- $logs := $values.observability.compute_logs | default dict }}
{{- $users := list $values.lake }}
{{- if ne (toString $logs.enabled) "false" }}{{ $users = append $users $logs }}{{ end }}
{{- range $values.landing }}{{ $users = append $users . }}{{ end }}
{{- $found := dict }}
{{- range $users }}
{{- $ref := .storage_ref | default "default" }}
{{- $_ := set $found $ref (include "slipway.storage" (dict "root" $ "name" $ref) | fromJson) }}
{{- end }}
{{- toJson $found -}}
{{- end }}

{{- define "slipway.storage" -}}
{{- $given := .root.Values.storage }}
{{- if hasKey $given .name }}{{ get $given .name | toJson }}{{ else }}{{ dict "bundled" true | toJson }}{{ end -}}
{{- end }}

{{- define "slipway.bundled.storage" -}}
{{- $any := "" }}
{{- range include "slipway.storages" . | fromJson }}{{ if .bundled }}{{ $any = "true" }}{{ end }}{{ end -}}
{{ $any }}
{{- end }}

{{- define "slipway.bundled" -}}
{{- if or (include "slipway.bundled.postgres" .) (include "slipway.bundled.storage" .) }}true{{ end -}}
{{- end }}

{{- define "slipway.references.shared" -}}
{{- $found := dict }}
{{- range $key := list "user" "password" }}
{{- with get $.Values.postgres $key }}{{ $_ := set $found (printf "postgres.%s" $key) . }}{{ end }}
{{- end }}
{{- range $name, $storage := .Values.storage }}
{{- range $key := list "access_key_id" "secret_access_key" }}
{{- with get $storage $key }}{{ $_ := set $found (printf "storage.%s.%s" $name $key) . }}{{ end }}
{{- end }}
{{- end }}
{{- toJson $found -}}
{{- end }}

{{- define "slipway.references.locations" -}}
{{- $found := dict }}
{{- range $name, $location := .Values.code_locations }}
{{- range $variable, $value := $location.env }}
{{- if kindIs "map" $value }}{{ $_ := set $found (printf "code_locations.%s.env.%s" $name $variable) $value }}{{ end }}
{{- end }}
{{- end }}
{{- toJson $found -}}
{{- end }}
