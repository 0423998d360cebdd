{{/*
The doors to the webservers from outside of the cluster.

  slipway.ingress  (dict "root" $ "component" C "placement" P "ingress" I)   the Ingress of a webserver, where enabled

Dagster asks nobody who they are: the annotations of I.authentication make the ingress controller ask. Without them,
the chart refuses to make a door unless I.allowUnauthenticated says so (_refusals.tpl).
*/}}

{{- define "slipway.ingress" -}}
{{- $ingress := .ingress }}
{{- if $ingress.enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- $annotations := merge dict $ingress.authentication.annotations $ingress.annotations }}
  {{- include "slipway.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - host: {{ $ingress.host | quote }}
      http:
        paths:
          - path: {{ $ingress.path }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "slipway.objectName" . }}
                port: {name: http}
{{- end }}
{{- end }}
