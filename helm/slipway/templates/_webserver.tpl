{{/*
The webservers: one that does everything, and one that only shows. They differ in their section of `kubernetes`, their
ingress and one option.

  slipway.webserver         (dict "root" $ "component" C "placement" P "ingress" I "readOnly" false)   all its objects
  slipway.webserver.prefix  (the same)   the path below which it is, without a slash at the end; "" for the root
*/}}

{{- define "slipway.webserver.prefix" -}}
{{- if .ingress.enabled }}{{ .ingress.path | trimSuffix "/" }}{{ end -}}
{{- end }}

{{- define "slipway.webserver" -}}
{{- $root := .root }}
{{- $placement := .placement }}
{{- $prefix := include "slipway.webserver.prefix" . }}
{{- $page := dict "path" (printf "%s/" $prefix) "port" "http" }}
{{- $context := merge (dict "launches" true "extra" $placement.env "spread" true) . }}
{{- $command := list "slipway" "webserver" }}
{{- if .readOnly }}{{ $command = append $command "--read-only" }}{{ end }}
{{- with $prefix }}{{ $command = concat $command (list "--path-prefix" .) }}{{ end -}}
{{ include "slipway.serviceAccount.made" $context }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "slipway.metadata" $context | nindent 2 }}
spec:
  replicas: {{ $placement.replicas }}
  strategy:
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "slipway.selector" $context | nindent 6 }}
  template:
    metadata:
      {{- include "slipway.pod.metadata" (merge (dict "annotations" (dict "checksum/platform" (include "slipway.checksum.webservers" $root))) $context) | nindent 6 }}
    spec:
      {{- include "slipway.pod.spec" $context | nindent 6 }}
      terminationGracePeriodSeconds: 60
      initContainers:
        {{- include "slipway.bootstrap.initContainer" $context | nindent 8 }}
      containers:
        - name: webserver
          {{- include "slipway.imageFields" (dict "root" $root "image" $root.Values.kubernetes.image) | nindent 10 }}
          args: {{ toJson $command }}
          env:
            {{- include "slipway.environment" $context | nindent 12 }}
          ports:
            - {name: http, containerPort: 3000}
          volumeMounts:
            {{- include "slipway.mounts" (dict "configMap" "platform") | nindent 12 }}
          {{- include "slipway.container" $placement | nindent 10 }}
          startupProbe:
            httpGet: {{ toJson $page }}
            periodSeconds: 3
            timeoutSeconds: 5
            failureThreshold: 100
          readinessProbe:
            httpGet: {{ toJson $page }}
            periodSeconds: 10
            timeoutSeconds: 5
          livenessProbe:
            httpGet: {{ dict "path" (printf "%s/server_info" $prefix) "port" "http" | toJson }}
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 6
      volumes:
        {{- include "slipway.volumes" (dict "root" $root "configMap" "platform") | nindent 8 }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "slipway.metadata" (merge (dict "annotations" $placement.service.annotations) $context) | nindent 2 }}
spec:
  type: {{ $placement.service.type }}
  selector:
    {{- include "slipway.selector" $context | nindent 4 }}
  ports:
    - {name: http, port: {{ $placement.service.port }}, targetPort: http}
---
{{ include "slipway.disruptionBudget" $context }}
---
{{ include "slipway.ingress" $context }}
{{- end }}
