{{/*
Environment of containers, as lists of EnvVars. Secrets come by secretKeyRef alone; no value of one is in a pod.

  slipway.environment  (dict "root" $ "component" C …)   the `env` of a container of the platform's; further keys:
                         "location"  a code location, whose own environment is then there as well
                         "launches"  true for what makes or ends runs: names of the objects that runs refer to
                         "inline"    true for a pod that may start before the ConfigMap: platform.yaml as a variable
                         "extra"     EnvVars of the user's; those named like one of platform.yaml's win
  slipway.environmentSecret  .                           name of the Secret that {env: NAME} is looked up in
  slipway.reference    (dict "root" $ "reference" R)     the secretKeyRef of a reference
  slipway.reference.variable  R                          the variable that a shared reference is resolved through

Names are unique in the result: the API server refuses a list that has one twice.
*/}}

{{- define "slipway.environmentSecret" -}}
{{- .Values.kubernetes.environmentSecret | default (printf "%s-environment" (include "slipway.fullname" .)) -}}
{{- end }}

{{- define "slipway.reference" -}}
{{- if .reference.env -}}
name: {{ include "slipway.environmentSecret" .root }}
key: {{ .reference.env }}
{{- else if .reference.secret -}}
name: {{ .reference.secret.name }}
key: {{ .reference.secret.key }}
{{- end }}
{{- end }}

{{- define "slipway.reference.variable" -}}
{{- if .env }}{{ .env -}}
{{- else if .secret -}}
SLIPWAY_SECRET_{{ printf "%s/%s" .secret.name .secret.key | sha256sum | trunc 16 | upper }}
{{- end }}
{{- end }}

{{- define "slipway.environment" -}}
{{- $root := .root }}
{{- $fullname := include "slipway.fullname" $root }}
{{- $all := list
  (dict "name" "SLIPWAY_RUNTIME" "value" "kubernetes")
  (dict "name" "SLIPWAY_PROJECT" "value" $fullname)
  (dict "name" "SLIPWAY_INSTANCE" "value" $root.Release.Name)
  (dict "name" "SLIPWAY_NAMESPACE" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.namespace")))
}}
{{- if .inline }}
{{- $all = append $all (dict "name" "SLIPWAY_PLATFORM_JSON" "value" (include "slipway.platform" $root)) }}
{{- else }}
{{- $all = append $all (dict "name" "SLIPWAY_PLATFORM" "value" "/etc/slipway/platform.yaml") }}
{{- end }}
{{- if .launches }}
{{- $all = concat $all (list
  (dict "name" "SLIPWAY_CONFIG_MAP" "value" (printf "%s-platform" $fullname))
  (dict "name" "SLIPWAY_ENVIRONMENT_SECRET" "value" (include "slipway.environmentSecret" $root))
) }}
{{- if include "slipway.bundled" $root }}
{{- $all = append $all (dict "name" "SLIPWAY_BUNDLED_SECRET" "value" (printf "%s-bundled" $fullname)) }}
{{- end }}
{{- end }}
{{- $all = concat $all (include "slipway.environment.bundled" $root | fromYamlArray) }}
{{- range $key, $reference := include "slipway.references.shared" $root | fromJson }}
{{- with include "slipway.reference" (dict "root" $root "reference" $reference) | fromYaml }}
{{- $variable := include "slipway.reference.variable" $reference }}
{{- $all = append $all (dict "name" $variable "valueFrom" (dict "secretKeyRef" .)) }}
{{- end }}
{{- end }}
{{- with .location }}
{{- $location := get $root.Values.code_locations . }}
{{- $all = concat $all (list
  (dict "name" "SLIPWAY_LOCATION" "value" .)
  (dict "name" "DAGSTER_CURRENT_IMAGE" "value" (include "slipway.image" (dict "root" $root "image" $location.image)))
) }}
{{- range $name, $value := $location.env }}
{{- if kindIs "string" $value }}
{{- $all = append $all (dict "name" $name "value" $value) }}
{{- else }}
{{- $reference := include "slipway.reference" (dict "root" $root "reference" $value) | fromYaml }}
{{- $all = append $all (dict "name" $name "valueFrom" (dict "secretKeyRef" $reference)) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "slipway.environment.merged" (concat $all (.extra | default list)) }}
{{- end }}

{{- define "slipway.environment.bundled" -}}
{{- $fullname := include "slipway.fullname" . }}
{{- $secret := printf "%s-bundled" $fullname }}
{{- $names := list }}
{{- if include "slipway.bundled.postgres" . }}{{ $names = append $names "SLIPWAY_POSTGRES_URL" }}{{ end }}
{{- if include "slipway.bundled.storage" . }}
{{- $names = concat $names (list "SLIPWAY_S3_ACCESS_KEY_ID" "SLIPWAY_S3_SECRET_ACCESS_KEY") }}
- {name: SLIPWAY_S3_ENDPOINT, value: "http://{{ $fullname }}-localstack:4566"}
- {name: SLIPWAY_S3_PUBLIC_ENDPOINT, value: "http://127.0.0.1:4566"}
{{- end }}
{{- range $names }}
- {name: {{ . }}, valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ . }}}}}
{{- end }}
{{- end }}

{{- define "slipway.environment.merged" -}}
{{- $order := list }}
{{- $last := dict }}
{{- range . }}
{{- if not (hasKey $last .name) }}{{ $order = append $order .name }}{{ end }}
{{- $_ := set $last .name . }}
{{- end }}
{{- $result := list }}
{{- range $order }}{{ $result = append $result (get $last .) }}{{ end }}
{{- toYaml $result }}
{{- end }}
