{{- define "am.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "am.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "am.labels" -}}
{{ include "am.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Every service that has a deployment, with its defaults filled in, as JSON. */}}
{{- define "am.services" -}}
{{- $found := dict -}}
{{- range $name, $service := .Values.services -}}
{{- $_ := set $found $name (mergeOverwrite (deepCopy $.Values.serviceDefaults) $service) -}}
{{- end -}}
{{- if eq (include "am.mcpForm" .) "standalone" -}}
{{- $_ := set $found "mcp" (include "am.mcp" . | fromJson) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* Where MCP runs: sidecar, standalone, or empty for nowhere. */}}
{{- define "am.mcpForm" -}}
{{- if .Values.mcp.enabled }}{{ .Values.mcp.mode }}{{ end -}}
{{- end -}}

{{/* MCP as a service with its defaults filled in, as JSON. It asks the gateway and nobody else. */}}
{{- define "am.mcp" -}}
{{- $own := dict "kind" "mcp" "servers" false "models" false "asks" false "embeds" false -}}
{{- mergeOverwrite (deepCopy .Values.serviceDefaults) (omit .Values.mcp "mode") $own | toJson -}}
{{- end -}}

{{/* Image of a service. Takes root and name. */}}
{{- define "am.image" -}}
{{- $image := .root.Values.image -}}
{{- printf "%s/%s-%s:%s" $image.registry $image.prefix .name (default .root.Chart.AppVersion $image.tag) -}}
{{- with index $image.digests .name }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "am.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "am.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where Postgres is, as environment. */}}
{{- define "am.postgres" -}}
{{- $full := include "am.fullname" . -}}
{{- if .Values.postgres.bundled }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.postgres.existingSecret }}, key: POSTGRES_PASSWORD}}
- {name: DATABASE_URL, value: "postgresql://agent_memory@{{ $full }}-postgres:5432/agent_memory"}
{{- else }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.postgres.existingSecret }}, key: DATABASE_URL}}
{{- end }}
{{- end -}}

{{/* Where Postgres and Redis are, as environment. */}}
{{- define "am.servers" -}}
{{- $full := include "am.fullname" . -}}
{{- include "am.postgres" . }}
{{- if .Values.redis.bundled }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: REDIS_PASSWORD}}
- {name: REDIS_URL, value: "redis://:$(REDIS_PASSWORD)@{{ $full }}-redis:6379/0"}
{{- else }}
- name: REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: REDIS_URL}}
- name: WORKING_MEMORY_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: WORKING_MEMORY_REDIS_URL, optional: true}}
{{- end }}
{{- end -}}

{{/* Where the gateway answers within the cluster. */}}
{{- define "am.gatewayUrl" -}}
http://{{ include "am.fullname" . }}-gateway:8000
{{- end -}}

{{/* What a service is told. Takes root, name and service. */}}
{{- define "am.environment" -}}
{{- $values := .root.Values -}}
{{- $kind := .service.kind -}}
{{- $told := dict -}}
{{- if or (eq $kind "worker") (eq $kind "embeddings") -}}
{{- $_ := set $told "HOST" "0.0.0.0" -}}
{{- end -}}
{{- if eq $kind "worker" -}}
{{- $_ := set $told "METRICS_PORT" "9100" -}}
{{- else if eq $kind "gateway" -}}
{{- $told = merge $told (dict "HOST" "0.0.0.0" "PORT" "8000" "GRPC_HOST" "0.0.0.0" "GRPC_PORT" "50051" "AUTH_MODE" $values.auth.mode) -}}
{{- /* Longer than MCP beside it takes to finish what it has in hand, which asks this gateway. */ -}}
{{- $_ := set $told "DRAIN_SECONDS" "4" -}}
{{- if eq $values.auth.mode "disabled" -}}
{{- if not $values.auth.allowOpen -}}
{{- fail "auth.mode=disabled lets in whoever reaches the gateway: set auth.allowOpen=true if something in front keeps strangers out" -}}
{{- end -}}
{{- $_ := set $told "ALLOW_OPEN" "true" -}}
{{- else if and (eq $values.auth.mode "oauth2") (not (and $values.settings.OAUTH2_ISSUER_URL $values.settings.OAUTH2_AUDIENCE)) -}}
{{- fail "auth.mode=oauth2 needs settings.OAUTH2_ISSUER_URL and settings.OAUTH2_AUDIENCE" -}}
{{- end -}}
{{- if $values.grpc.tlsSecret -}}
{{- $told = merge $told (dict "GRPC_TLS_CERT_FILE" "/tls/tls.crt" "GRPC_TLS_KEY_FILE" "/tls/tls.key") -}}
{{- end -}}
{{- else if eq $kind "mcp" -}}
{{- $beside := eq (include "am.mcpForm" .root) "sidecar" -}}
{{- $told = dict "HOST" "0.0.0.0" "METRICS_PORT" "9100" "MCP_HOST" "0.0.0.0" "MCP_PORT" "9000" "AUTH_MODE" $values.auth.mode -}}
{{- $_ := set $told "AGENT_MEMORY_URL" (ternary "http://127.0.0.1:8000" (include "am.gatewayUrl" .root) $beside) -}}
{{- if eq $values.auth.mode "disabled" -}}
{{- $_ := set $told "ALLOW_OPEN" "true" -}}
{{- else if and (eq $values.auth.mode "oauth2") (eq ($values.settings.OAUTH2_AUDIENCE | toString) "*") -}}
{{- fail "mcp.enabled with settings.OAUTH2_AUDIENCE=*: a token that was made for another service must not be passed on; name the audience" -}}
{{- end -}}
{{- if $values.ingress.enabled -}}
{{- /* TLS ends at the ingress, so a request does not tell by which URL it came. */ -}}
{{- $_ := set $told "MCP_RESOURCE_URL" (printf "https://%s" (default $values.ingress.host $values.ingress.mcp.host)) -}}
{{- end -}}
{{- else if eq $kind "ops" -}}
{{- $_ := set $told "AGENT_MEMORY_URL" (include "am.gatewayUrl" .root) -}}
{{- end -}}
{{- if and (index (include "am.services" .root | fromJson) "embeddings").enabled (or .service.models .service.embeds) -}}
{{- $url := printf "http://%s-embeddings:8080/v1" (include "am.fullname" .root) -}}
{{- $told = merge $told (dict "EMBEDDING_MODEL" "local" "EMBEDDINGS_URL" $url) -}}
{{- end -}}
{{- $told = mergeOverwrite $told $values.settings .service.settings -}}
{{- if and .service.embeds (not $told.EMBEDDING_MODEL) (not $values.models.existingSecret) -}}
{{- fail "services.embeddings.enabled=false: who embeds then? settings.EMBEDDING_MODEL, or models.existingSecret with a key" -}}
{{- end -}}
{{- if and (ne $kind "embeddings") (ne $kind "ops") }}
- name: SERVICE_REPLICA
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- if .service.servers }}
{{- include "am.servers" .root }}
{{- end }}
{{- range $name, $value := $told }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}

{{/* Probes of a kind: alive is said by the process alone, ready means that what it needs answers. */}}
{{- define "am.probes" -}}
{{- if eq . "ops" }}
startupProbe: {exec: {command: [agent-memory, version]}, timeoutSeconds: 30, failureThreshold: 3}
livenessProbe: {exec: {command: ["true"]}, periodSeconds: 30}
readinessProbe: {exec: {command: ["true"]}, periodSeconds: 30}
{{- else }}
{{- $port := get (dict "gateway" "http" "worker" "metrics" "mcp" "metrics" "embeddings" "http") . }}
{{- $live := get (dict "gateway" "/health" "worker" "/live" "mcp" "/live" "embeddings" "/health") . }}
{{- $ready := get (dict "gateway" "/ready" "worker" "/ready" "mcp" "/ready" "embeddings" "/health") . }}
startupProbe: {httpGet: {path: {{ $live }}, port: {{ $port }}}, periodSeconds: 2, timeoutSeconds: 3, failureThreshold: 60}
livenessProbe: {httpGet: {path: {{ $live }}, port: {{ $port }}}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
readinessProbe: {httpGet: {path: {{ $ready }}, port: {{ $port }}}, periodSeconds: 5, timeoutSeconds: 4, failureThreshold: 2}
{{- end }}
{{- end -}}

{{/* The claim of the volume that backups go to. */}}
{{- define "am.backups" -}}
{{- default (printf "%s-backups" (include "am.fullname" .)) .Values.backup.existingClaim -}}
{{- end -}}

{{/* Names of the enabled services for which a key of theirs is true, as a JSON list. Takes root and key. */}}
{{- define "am.who" -}}
{{- $found := list -}}
{{- $key := .key -}}
{{- range $name, $service := include "am.services" .root | fromJson -}}
{{- if and $service.enabled (index $service $key) -}}{{- $found = append $found $name -}}{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}
