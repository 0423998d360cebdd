{{/*
The bootstrap: makes or migrates what the platform stands on. It may run as often as one likes, and twice at once.

  slipway.bootstrap.early          .   "true" when it can run before the release's own objects: everything that it needs
                                       is somebody else's, or is the chart's own and is ready from the release before
  slipway.bootstrap.hook           .   the events of the Job, accordingly
  slipway.bootstrap.initContainer  (dict "root" $ "component" C "extra" EnvVars)   the same before a server starts: so
                                       `helm install --wait`, which runs later hooks last, cannot wait for ever
*/}}

{{- define "slipway.bootstrap.early" -}}
{{- $early := "true" }}
{{- range $name := ternary (list "postgres") list (eq (include "slipway.bundled.postgres" .) "true") | concat (ternary (list "localstack") list (eq (include "slipway.bundled.storage" .) "true")) }}
{{- $found := lookup "apps/v1" "StatefulSet" $.Release.Namespace (printf "%s-%s" (include "slipway.fullname" $) $name) }}
{{- if lt (dig "status" "readyReplicas" 0 $found | int) 1 }}{{ $early = "" }}{{ end }}
{{- end }}
{{- $early -}}
{{- end }}

{{- define "slipway.bootstrap.hook" -}}
{{- if include "slipway.bootstrap.early" . }}pre-install,pre-upgrade{{ else }}post-install,post-upgrade{{ end -}}
{{- end }}

{{- define "slipway.bootstrap.initContainer" -}}
{{- $kubernetes := .root.Values.kubernetes -}}
- name: bootstrap
  {{- include "slipway.imageFields" (dict "root" .root "image" $kubernetes.image) | nindent 2 }}
  args: [slipway, bootstrap]
  env:
    {{- include "slipway.environment" . | nindent 4 }}
  volumeMounts:
    {{- include "slipway.mounts" (dict "configMap" "platform") | nindent 4 }}
  {{- include "slipway.container" (dict "resources" $kubernetes.bootstrap.resources) | nindent 2 }}
{{- end }}
