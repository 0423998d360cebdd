{{/*
Images. One value, kubernetes.imageRegistry, takes every image from one registry.

  slipway.image       (dict "root" $ "image" {repository, tag})   the image's full name. The registry takes the place of
                      the repository's own, which is its first part if that has a dot or a colon or is localhost.
  slipway.imageFields (the same)   `image` and `imagePullPolicy` of a container
*/}}

{{- define "slipway.image" -}}
{{- $repository := .image.repository }}
{{- with .root.Values.kubernetes.imageRegistry }}
{{- $first := regexFind "^[^/]+/" $repository | trimSuffix "/" }}
{{- if or (contains "." $first) (contains ":" $first) (eq $first "localhost") }}
{{- $repository = trimPrefix (printf "%s/" $first) $repository }}
{{- end }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}
{{- end -}}
{{ $repository }}:{{ .image.tag }}
{{- end }}

{{- define "slipway.imageFields" -}}
image: {{ include "slipway.image" . | quote }}
imagePullPolicy: {{ .root.Values.kubernetes.imagePullPolicy }}
{{- end }}
