{{/* The configuration file: what the user wrote under `config`, `organizations` and `callers`, and what the chart derives. */}}

{{- define "guardian-auth.paths" -}}
config: /etc/guardian-auth/config
secrets: /etc/guardian-auth/secrets
migration: /etc/guardian-auth/migration
data: /var/lib/guardian-auth
{{- end -}}

{{/*
A map as TOML. Input: table, and path (the name of the table, empty for the root). Strings, numbers and lists of them are
the same in TOML as in JSON. (Helm's own toToml writes whole numbers of values files as 20.0, which the binary refuses.)
Plain keys come before tables, since a key behind a table's head belongs to that table.
*/}}
{{- define "guardian-auth.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value) (include "guardian-auth.isTables" $value)) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- $name := empty $path | ternary $key (printf "%s.%s" $path $key) }}
{{- if kindIs "map" $value }}

[{{ $name }}]
{{- include "guardian-auth.toml" (dict "table" $value "path" $name) }}
{{- else if include "guardian-auth.isTables" $value }}
{{- range $value }}

[[{{ $name }}]]
{{- include "guardian-auth.toml" (dict "table" . "path" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Not empty if the value is a list of maps. */}}
{{- define "guardian-auth.isTables" -}}
{{- if kindIs "slice" . }}{{ if . }}{{ if kindIs "map" (first .) }}yes{{ end }}{{ end }}{{ end -}}
{{- end -}}

{{/* A map by name as the list that the binary reads. Input: map, key (the field that holds the name). */}}
{{- define "guardian-auth.named" -}}
{{- $list := list -}}
{{- range $name, $value := .map -}}
{{- $list = append $list (merge (dict $.key $name) $value) -}}
{{- end -}}
{{- toYaml (dict "list" $list) -}}
{{- end -}}

{{/* What the chart derives from other values. Overlaid on `config`. */}}
{{- define "guardian-auth.derived" -}}
{{- $paths := include "guardian-auth.paths" . | fromYaml -}}
{{- $tls := .Values.grpc.tls -}}
{{- $plaintext := eq $tls.mode "plaintextBehindProxy" -}}
{{- $postgres := eq .Values.database.backend "postgres" -}}
listen:
  grpc: "0.0.0.0:{{ .Values.grpc.port | int }}"
  ops: "0.0.0.0:{{ .Values.ops.port | int }}"
  drain_timeout: {{ .Values.shutdown.drainSeconds | int }}s
  {{- if $plaintext }}
  plaintext_behind_proxy: true
  {{- else }}
  tls:
    cert_file: {{ $paths.secrets }}/tls/tls.crt
    key_file: {{ $paths.secrets }}/tls/tls.key
    {{- if $tls.clientCA.enabled }}
    client_ca_file: {{ $paths.secrets }}/tls/client-ca.crt
    {{- end }}
  {{- end }}
store:
  backend: {{ .Values.database.backend }}
  {{- if $postgres }}
  postgres:
    url_file: {{ $paths.secrets }}/database/url
  {{- else }}
  sqlite:
    path: {{ $paths.data }}/guardian-auth.sqlite
  {{- end }}
limits:
  backend: {{ .Values.redis.enabled | ternary "redis" "memory" }}
  {{- /* SQLite is replaced, not rolled: there is never a second process. */}}
  replicas: {{ $postgres | ternary (add1 (include "guardian-auth.mostReplicas" . | int)) 1 }}
  {{- if .Values.redis.enabled }}
  {{- include "guardian-auth.derivedRedis" . | nindent 2 }}
  {{- end }}
hash:
  memory_limit_mib: {{ include "guardian-auth.mebibytes" .Values.resources.limits.memory }}
keys:
  master:
    {{- range .Values.secrets.masterKeys.ids }}
    - id: {{ . | quote }}
      file: {{ $paths.secrets }}/master/{{ . }}
    {{- end }}
{{- $smtp := (.Values.config.mail | default dict).smtp | default dict }}
{{- if or $smtp.user (and $smtp .Values.secrets.mail.caKey) }}
mail:
  smtp:
    {{- if $smtp.user }}
    password_file: {{ $paths.secrets }}/mail/password
    {{- end }}
    {{- if .Values.secrets.mail.caKey }}
    ca_file: {{ $paths.secrets }}/mail/ca.crt
    {{- end }}
{{- end }}
{{- if .Values.config.sms }}
sms:
  password_file: {{ $paths.secrets }}/sms/password
{{- end }}
{{- if and .Values.config.traces (or .Values.secrets.traces.key .Values.secrets.traces.caKey) }}
traces:
  {{- if .Values.secrets.traces.key }}
  headers_file: {{ $paths.secrets }}/traces/headers
  {{- end }}
  {{- if .Values.secrets.traces.caKey }}
  ca_file: {{ $paths.secrets }}/traces/ca.crt
  {{- end }}
{{- end }}
workers:
  {{- /* A Deployment of workers switches it on by a variable. */}}
  enabled: {{ not .Values.workers.separate }}
{{- end -}}

{{/* How Redis is found, and who we are there. */}}
{{- define "guardian-auth.derivedRedis" -}}
{{- $files := printf "%s/redis" (include "guardian-auth.paths" . | fromYaml).secrets -}}
{{- $secrets := .Values.secrets.redis -}}
{{- with .Values.redis -}}
redis:
  mode: {{ .mode }}
  {{- if eq .mode "standalone" }}
  url_file: {{ $files }}/url
  {{- else }}
  {{- with .username }}
  username: {{ . | quote }}
  {{- end }}
  {{- if $secrets.passwordKey }}
  password_file: {{ $files }}/password
  {{- end }}
  {{ .mode }}:
    addresses: {{ toJson .addresses }}
    {{- if eq .mode "sentinel" }}
    master_name: {{ .sentinel.masterName | quote }}
    {{- with .sentinel.username }}
    username: {{ . | quote }}
    {{- end }}
    {{- if $secrets.sentinelPasswordKey }}
    password_file: {{ $files }}/sentinel-password
    {{- end }}
    {{- end }}
  {{- end }}
  {{- if or .tls.enabled $secrets.caKey $secrets.clientCertificate }}
  tls:
    {{- if .tls.enabled }}
    enabled: true
    {{- end }}
    {{- if $secrets.caKey }}
    ca_file: {{ $files }}/ca.crt
    {{- end }}
    {{- if $secrets.clientCertificate }}
    certificate_file: {{ $files }}/tls.crt
    key_file: {{ $files }}/tls.key
    {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* The whole configuration file. */}}
{{- define "guardian-auth.configuration" -}}
{{- $config := mergeOverwrite (deepCopy .Values.config) (include "guardian-auth.derived" . | fromYaml) -}}
{{- /* A section that says nothing is not written: an empty `mail` or `sms` would switch it on. */ -}}
{{- range $section, $value := $config -}}
{{- if empty $value }}{{ $_ := unset $config $section }}{{ end -}}
{{- end -}}
{{- $_ := set $config "organizations" (include "guardian-auth.named" (dict "map" .Values.organizations "key" "id") | fromYaml).list -}}
{{- $_ := set $config "callers" (include "guardian-auth.named" (dict "map" .Values.callers "key" "name") | fromYaml).list -}}
# Made by the chart {{ .Chart.Name }}. Every key: docs/configuration.md
{{- include "guardian-auth.toml" (dict "table" $config "path" "") }}
{{- end -}}

{{/*
The files of the volume with secrets: a list of {secret, key, path} under `files`. The volume and the ExternalSecret are
made from it, so that what is mounted is what is named in the configuration.
*/}}
{{- define "guardian-auth.secretFiles" -}}
{{- $all := include "guardian-auth.commonSecret" . -}}
{{- $secrets := .Values.secrets -}}
{{- $files := list -}}
{{- if ne .Values.grpc.tls.mode "plaintextBehindProxy" -}}
{{- $server := include "guardian-auth.tlsSecret" . -}}
{{- $files = append $files (dict "secret" $server "key" "tls.crt" "path" "tls/tls.crt") -}}
{{- $files = append $files (dict "secret" $server "key" "tls.key" "path" "tls/tls.key") -}}
{{- with .Values.grpc.tls.clientCA -}}
{{- if .enabled -}}
{{- $files = append $files (dict "secret" (default $server .existingSecret) "key" .key "path" "tls/client-ca.crt") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $secrets.masterKeys.ids -}}
{{- $files = append $files (dict "secret" (default $all $secrets.masterKeys.existingSecret) "key" (printf "master-key-%s" .) "path" (printf "master/%s" .)) -}}
{{- end -}}
{{- $smtp := (.Values.config.mail | default dict).smtp | default dict -}}
{{- $used := dict
    "database" (eq .Values.database.backend "postgres" | ternary "url" "")
    "redis" (and .Values.redis.enabled (eq .Values.redis.mode "standalone") | ternary "url" "")
    "mail" (empty $smtp.user | ternary "" "password")
    "sms" (empty .Values.config.sms | ternary "" "password")
    "traces" (and .Values.config.traces $secrets.traces.key | empty | ternary "" "headers") -}}
{{- range $what, $path := $used -}}
{{- $entry := get $secrets $what -}}
{{- if $path -}}
{{- $files = append $files (dict "secret" (default $all $entry.existingSecret) "key" $entry.key "path" (printf "%s/%s" $what $path)) -}}
{{- end -}}
{{- if and $entry.caKey (or $path (and (eq $what "mail") $smtp) (and (eq $what "redis") $.Values.redis.enabled) (and (eq $what "traces") $.Values.config.traces)) -}}
{{- $files = append $files (dict "secret" (default $all $entry.existingSecret) "key" $entry.caKey "path" (printf "%s/ca.crt" $what)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.redis.enabled -}}
{{- with $secrets.redis -}}
{{- $secret := default $all .existingSecret -}}
{{- if .passwordKey -}}
{{- $files = append $files (dict "secret" $secret "key" .passwordKey "path" "redis/password") -}}
{{- end -}}
{{- if .sentinelPasswordKey -}}
{{- $files = append $files (dict "secret" $secret "key" .sentinelPasswordKey "path" "redis/sentinel-password") -}}
{{- end -}}
{{- if .clientCertificate -}}
{{- $files = append $files (dict "secret" .clientCertificate "key" "tls.crt" "path" "redis/tls.crt") -}}
{{- $files = append $files (dict "secret" .clientCertificate "key" "tls.key" "path" "redis/tls.key") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "files" $files) -}}
{{- end -}}

{{/* The Secret of all keys that name no other. */}}
{{- define "guardian-auth.commonSecret" -}}
{{- .Values.externalSecret.enabled | ternary (include "guardian-auth.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}

{{- define "guardian-auth.tlsSecret" -}}
{{- eq .Values.grpc.tls.mode "certManager" | ternary (printf "%s-tls" (include "guardian-auth.fullname" .)) .Values.grpc.tls.existingSecret -}}
{{- end -}}

{{/* Not empty if the migration has a credential of its own. */}}
{{- define "guardian-auth.hasMigrationSecret" -}}
{{- if and .Values.secrets.migration.key (eq .Values.database.backend "postgres") (ne .Values.migrations.mode "none") }}yes{{ end -}}
{{- end -}}

{{- define "guardian-auth.migrationSecret" -}}
{{- default (include "guardian-auth.commonSecret" .) .Values.secrets.migration.existingSecret -}}
{{- end -}}
