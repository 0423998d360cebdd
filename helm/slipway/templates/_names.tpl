{{/*
Names and labels. Every object's name begins with the fullname: the release's name, with `slipway` in it.

  slipway.fullname   .                                  the fullname
  slipway.location   "a_location"                       a code location as a part of names: a-location
  slipway.metadata   (dict "root" $ "component" C …)    an object's metadata; further keys, all optional:
                       "name"         what follows the fullname (default: the component; "" for the fullname itself)
                       "location"     the code location that the object belongs to
                       "annotations"  beside the common ones
  slipway.labels     (dict "root" $ "component" C "location" L "labels" D)   labels of an object or a pod
  slipway.selector   (dict "root" $ "component" C "location" L)              those labels that never change

Labels and annotations of the user's never replace the chart's own.
*/}}

{{- define "slipway.fullname" -}}
{{- if contains "slipway" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-slipway{{ end -}}
{{- end }}

{{- define "slipway.location" -}}
{{- . | replace "_" "-" -}}
{{- end }}

{{- define "slipway.objectName" -}}
{{- $name := .component }}
{{- if hasKey . "name" }}{{ $name = .name }}{{ end -}}
{{- include "slipway.fullname" .root }}{{ with $name }}-{{ . }}{{ end -}}
{{- end }}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .location }}
slipway/location: {{ . }}
{{- end }}
{{- end }}

{{- define "slipway.labels" -}}
{{- $own := include "slipway.selector" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) }}
{{- merge $own (.labels | default dict) .root.Values.kubernetes.commonLabels | toYaml -}}
{{- end }}

{{- define "slipway.metadata" -}}
name: {{ include "slipway.objectName" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "slipway.labels" . | nindent 2 }}
{{- with merge dict (.annotations | default dict) .root.Values.kubernetes.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
