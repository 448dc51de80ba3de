{{/* The container of a service. Takes root, name and service. */}}
{{- define "am.container" -}}
{{- $values := .root.Values -}}
{{- $kind := .service.kind -}}
- name: {{ .name }}
  image: {{ include "am.image" . }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- if eq $kind "ops" }}
  command: [python, -c, "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"]
  {{- end }}
  securityContext: {{- include "am.containerSecurity" .root | nindent 4 }}
  env: {{- include "am.environment" . | nindent 4 }}
  {{- if and .service.models $values.models.existingSecret }}
  envFrom:
    - secretRef: {name: {{ $values.models.existingSecret }}}
  {{- end }}
  {{- with include "am.ports" $kind | fromYamlArray }}
  ports:
    {{- range . }}
    - {name: {{ .name }}, containerPort: {{ .port }}}
    {{- end }}
  {{- end }}
  {{- include "am.probes" $kind | nindent 2 }}
  {{- if has $kind (list "gateway" "mcp" "embeddings") }}
  # Until everybody has heard that it goes, requests still come.
  lifecycle:
    preStop: {exec: {command: [sleep, "5"]}}
  {{- end }}
  resources: {{- toYaml .service.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- include "am.certificatesMount" .root | nindent 4 }}
    {{- if and (eq $kind "gateway") $values.grpc.tlsSecret }}
    - {name: grpc-tls, mountPath: /tls, readOnly: true}
    {{- end }}
    {{- if and (eq $kind "ops") $values.backup.enabled }}
    - {name: backups, mountPath: /backups}
    {{- end }}
{{- end -}}

{{/* Where a kind of service answers, as a YAML list. */}}
{{- define "am.ports" -}}
{{- if eq . "gateway" }}
- {name: http, port: 8000}
- {name: grpc, port: 50051}
{{- else if eq . "mcp" }}
- {name: mcp, port: 9000}
- {name: metrics, port: 9100}
{{- else if eq . "worker" }}
- {name: metrics, port: 9100}
{{- else if eq . "embeddings" }}
- {name: http, port: 8080}
{{- else }}
[]
{{- end }}
{{- end -}}

{{/* Certificates to trust, as a mount and as a volume of a pod; nothing where there are none. */}}
{{- define "am.certificatesMount" -}}
{{- with .Values.certificates.existingConfigMap }}
- {name: certificates, mountPath: /certificates, readOnly: true}
{{- end }}
{{- end -}}
{{- define "am.certificatesVolume" -}}
{{- with .Values.certificates.existingConfigMap }}
- {name: certificates, configMap: {name: {{ . }}}}
{{- end }}
{{- end -}}
