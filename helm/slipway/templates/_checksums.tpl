{{/*
Checksums: an annotation of a pod that changes when something does that its process reads only at its start. A process
reads the rest of platform.yaml anew from the mounted file (the daemon, for a launch, from the API server), so a changed
profile, image or default of another part restarts nothing.

  slipway.checksum.locations   .   for code servers: Postgres, S3, logs. Their own environment stands in the pod itself
  slipway.checksum.webservers  .   that, and the addresses of the code servers
  slipway.checksum.daemon      .   that, and what the daemon watches

Limits of concurrency are asked for anew each time. Of the compute logs, retention_days is the bootstrap's, and upload_interval the runs' alone.
*/}}

{{- define "slipway.checksum.locations" -}}
{{- $logs := omit (.Values.observability.compute_logs | default dict) "retention_days" "upload_interval" }}
{{- list .Values.postgres .Values.storage $logs | toJson | sha256sum -}}
{{- end }}

{{- define "slipway.checksum.webservers" -}}
{{- $names := keys .Values.code_locations | sortAlpha }}
{{- list (include "slipway.checksum.locations" .) $names | toJson | sha256sum -}}
{{- end }}

{{- define "slipway.checksum.daemon" -}}
{{- list (include "slipway.checksum.webservers" .) .Values.landing .Values.lake | toJson | sha256sum -}}
{{- end }}
