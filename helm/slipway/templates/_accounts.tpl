{{/*
Service accounts: one for each component, so that each can be given an identity of its own in a cloud.

  slipway.serviceAccount       (dict "root" $ "component" C)   its name: the user's own, or the one that the chart makes
  slipway.serviceAccount.of    (dict "root" $ "component" C)   JSON: the section of `kubernetes` that speaks of it
  slipway.serviceAccount.made  (dict "root" $ "component" C "token" false "annotations" A)   the object, unless it is the
                               user's own; a token is mounted only where the pod speaks to the API server
*/}}

{{- define "slipway.serviceAccount.of" -}}
{{- $sections := dict
  "webserver" "webserver" "webserver-read-only" "webserverReadOnly" "daemon" "daemon" "bootstrap" "bootstrap"
  "code-server" "codeServers" "run" "runs" "postgres" "postgres" "localstack" "localstack" "test" "runs"
}}
{{- get (get .root.Values.kubernetes (get $sections .component)) "serviceAccount" | toJson -}}
{{- end }}

{{- define "slipway.serviceAccount" -}}
{{- $given := include "slipway.serviceAccount.of" . | fromJson }}
{{- $suffixes := dict "code-server" "code-servers" "run" "runs" "test" "runs" }}
{{- $suffix := get $suffixes .component | default .component }}
{{- $given.name | default (printf "%s-%s" (include "slipway.fullname" .root) $suffix) -}}
{{- end }}

{{- define "slipway.serviceAccount.made" -}}
{{- $given := include "slipway.serviceAccount.of" . | fromJson }}
{{- if not $given.name -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- $name := include "slipway.serviceAccount" . | trimPrefix (printf "%s-" (include "slipway.fullname" .root)) }}
  {{- $annotations := merge dict (.annotations | default dict) ($given.annotations | default dict) }}
  {{- include "slipway.metadata" (dict "root" .root "component" .component "name" $name "annotations" $annotations) | nindent 2 }}
automountServiceAccountToken: {{ .token | default false }}
{{- end }}
{{- end }}
