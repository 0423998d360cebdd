{{/*
Who may speak to whom. One policy denies everything to every pod of the release, run pods included; each of the others
allows what some of them need.

  slipway.network.policy     (dict "root" $ "name" N "component" C "location" L "annotations" A)   the head of a policy, up
                             to and including `spec`'s podSelector. Without a component it is for every pod, with a
                             location for those of the location's
  slipway.network.pods       ("components" list, "root" $)       a peer: the pods of some components
  slipway.network.ports      list of numbers                     TCP ports
  slipway.network.storage    .   JSON list: ports of the S3 endpoints that are not the chart's own. Credentials that
                             come from the cloud itself are fetched over 443 or, from the node, over 80

  slipway.network.servicesEgress .   egress rules to Postgres and S3, bundled or not
*/}}

{{- define "slipway.network.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "slipway.metadata" (dict "root" .root "component" (.component | default "platform") "name" (printf "allow-%s" .name) "location" .location "annotations" .annotations) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: slipway
      app.kubernetes.io/instance: {{ .root.Release.Name }}
      {{- with .component }}
      app.kubernetes.io/component: {{ . }}
      {{- end }}
      {{- with .location }}
      slipway/location: {{ . }}
      {{- end }}
{{- end }}

{{- define "slipway.network.pods" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: slipway
      app.kubernetes.io/instance: {{ .root.Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end }}

{{- define "slipway.network.ports" -}}
{{- range $index, $port := . }}
{{- if $index }}{{ "\n" }}{{ end -}}
- {protocol: TCP, port: {{ int $port }}}
{{- end }}
{{- end }}

{{- define "slipway.network.storage" -}}
{{- $ports := list }}
{{- range include "slipway.storages" . | fromJson }}
{{- if not .bundled }}
{{- $port := "443" }}
{{- with .endpoint }}
{{- $url := urlParse . }}
{{- $port = regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) }}
{{- end }}
{{- $ports = append $ports $port }}
{{- if not .access_key_id }}{{ $ports = concat $ports (list "443" "80") }}{{ end }}
{{- end }}
{{- end }}
{{- $ports | uniq | sortAlpha | toJson -}}
{{- end }}

{{- define "slipway.network.servicesEgress" -}}
{{- $policies := .Values.kubernetes.networkPolicies }}
{{- if include "slipway.bundled.postgres" . -}}
- to:
    {{- include "slipway.network.pods" (dict "root" . "components" (list "postgres")) | nindent 4 }}
  ports:
    {{- include "slipway.network.ports" (list 5432) | nindent 4 }}
{{- else -}}
- to:
    {{- toYaml $policies.postgresTo | nindent 4 }}
  ports:
    {{- include "slipway.network.ports" (list (.Values.postgres.port | default 5432)) | nindent 4 }}
{{- end }}
{{- if include "slipway.bundled.storage" . }}
- to:
    {{- include "slipway.network.pods" (dict "root" . "components" (list "localstack")) | nindent 4 }}
  ports:
    {{- include "slipway.network.ports" (list 4566) | nindent 4 }}
{{- end }}
{{- with include "slipway.network.storage" . | fromJsonArray }}
- to:
    {{- toYaml $policies.storageTo | nindent 4 }}
  ports:
    {{- include "slipway.network.ports" . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "slipway.network.codeServersEgress" -}}
- to:
    {{- include "slipway.network.pods" (dict "root" . "components" (list "code-server")) | nindent 4 }}
  ports:
    {{- include "slipway.network.ports" (list 4000) | nindent 4 }}
{{- end }}
