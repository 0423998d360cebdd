{{/*
What keeps servers there while nodes are drained.

  slipway.disruptionBudget  (dict "root" $ "component" C "name" N "location" L)

At most one pod of a server goes at a time. That keeps the others of several, and never blocks the drain of a node for
the sake of the only one (as `minAvailable: 1` would, for ever); a pod that is not ready anyway may go at any time.
*/}}

{{- define "slipway.disruptionBudget" -}}
{{- if .root.Values.kubernetes.podDisruptionBudgets -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "slipway.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "slipway.selector" . | nindent 6 }}
{{- end }}
{{- end }}
