{{/*
Pods. All of them pass Pod Security `restricted`, and each says how it is placed in the same words.

  slipway.pod.metadata  (dict "root" $ "component" C "location" L "placement" P "annotations" A)
                        labels and annotations of a pod template; P is a section of `kubernetes` such as webserver
  slipway.pod.spec      (dict "root" $ "component" C "placement" P …)   the pod-level fields of a pod's spec:
                          "location"  a code location
                          "account"   name of its service account (default: that of the component)
                          "user"      uid and gid (default: 10001, that of Slipway's images)
                          "token"     true where the pod speaks to the API server
                          "spread"    true to spread several replicas over nodes unless P says how
  slipway.container     (dict "resources" R)   the container-level fields that every container has
  slipway.volumes       (dict "root" $ "configMap" N "scratch" S)   the volumes of a process of the platform's:
                        /tmp of size S, and platform.yaml from the ConfigMap, unless N is empty
  slipway.mounts        (dict "configMap" N)   where a container has them

Servers need no preStop hook: told to end, they go on for as long as Services take to forget them (slipway.draining).
*/}}

{{- define "slipway.pod.metadata" -}}
labels:
  {{- include "slipway.labels" (dict "root" .root "component" .component "location" .location "labels" .placement.podLabels) | nindent 2 }}
{{- with merge dict (.annotations | default dict) (.placement.podAnnotations | default dict) .root.Values.kubernetes.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "slipway.pod.spec" -}}
{{- $user := .user | default 10001 -}}
serviceAccountName: {{ .account | default (include "slipway.serviceAccount" .) }}
automountServiceAccountToken: {{ .token | default false }}
# A Service's variables begin with its name: those of `slipway-postgres` would pass for settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $user }}
  runAsGroup: {{ $user }}
  fsGroup: {{ $user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.kubernetes.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .placement.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .placement.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .placement.topologySpreadConstraints | nindent 2 }}
{{- else if and .spread (gt (int .placement.replicas) 1) (not (dig "podAntiAffinity" dict (.placement.affinity | default dict))) }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "slipway.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{- define "slipway.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- end }}

{{- define "slipway.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .scratch | default "1Gi" }}}
{{- with .configMap }}
- name: platform
  configMap: {name: {{ include "slipway.fullname" $.root }}-{{ . }}}
{{- end }}
{{- end }}

{{- define "slipway.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .configMap }}
# A folder, not a file in it: so a change arrives while the process runs.
- {name: platform, mountPath: /etc/slipway, readOnly: true}
{{- end }}
{{- end }}
