{{/*
Volumes that outlive the release: `helm uninstall` keeps them and says so, and a new release of the same name takes
them over.

  slipway.claim  (dict "root" $ "component" C "name" N "location" L "volume" V)   V is size and storageClassName
*/}}

{{- define "slipway.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "slipway.metadata" (merge (dict "annotations" (dict "helm.sh/resource-policy" "keep")) .) | nindent 2 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .volume.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .volume.size | quote }}}
{{- end }}
