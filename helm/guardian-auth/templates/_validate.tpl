{{/*
Faults that a schema cannot see, since they lie between values. All of them are gathered into one message, each with the
value to set. One template per subject; each prints a fault a line.
*/}}

{{- define "guardian-auth.validate" -}}
{{- $faults := list -}}
{{- range $subject := list "config" "secrets" "redis" "tls" "replicas" "hash" "network" "exposure" "monitoring" "environment" -}}
{{- range splitList "\n" (include (printf "guardian-auth.validate.%s" $subject) $) -}}
{{- with trim . }}{{ $faults = append $faults . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with $faults -}}
{{- fail (printf "\n\n%d value(s) of guardian-auth must change:\n- %s\n" (len .) (join "\n- " .)) -}}
{{- end -}}
{{- end -}}

{{- define "guardian-auth.validate.config" -}}
{{- if not .Values.config.issuer }}
config.issuer: is required; write the https URL that stands in `iss` of access tokens
{{- end }}
{{- if not .Values.organizations }}
organizations: at least one is needed; write it under its id
{{- end }}
{{- if not .Values.callers }}
callers: at least one is needed; write it under its name
{{- end }}
{{- /* What the chart derives must not be written twice. */}}
{{- $owned := dict
    "listen.grpc" "grpc.port"
    "listen.ops" "ops.port"
    "listen.tls" "grpc.tls"
    "listen.plaintext_behind_proxy" "grpc.tls.mode"
    "listen.drain_delay" "shutdown.preStopSeconds"
    "listen.drain_timeout" "shutdown.drainSeconds"
    "store.backend" "database.backend"
    "store.migrate_on_start" "migrations.mode"
    "store.sqlite" "database.sqlite"
    "store.postgres.url" "secrets.database"
    "store.postgres.url_file" "secrets.database"
    "limits.backend" "redis.enabled"
    "limits.replicas" "replicaCount or autoscaling.maxReplicas"
    "limits.redis.mode" "redis.mode"
    "limits.redis.url" "secrets.redis"
    "limits.redis.url_file" "secrets.redis"
    "limits.redis.username" "redis.username"
    "limits.redis.password" "secrets.redis.passwordKey"
    "limits.redis.password_file" "secrets.redis.passwordKey"
    "limits.redis.sentinel" "redis.addresses and redis.sentinel"
    "limits.redis.cluster" "redis.addresses"
    "limits.redis.tls" "redis.tls and secrets.redis"
    "hash.memory_limit_mib" "resources.limits.memory"
    "mail.smtp.password" "secrets.mail"
    "mail.smtp.password_file" "secrets.mail"
    "mail.smtp.ca_file" "secrets.mail.caKey"
    "sms.password" "secrets.sms"
    "sms.password_file" "secrets.sms"
    "traces.headers" "secrets.traces"
    "traces.headers_file" "secrets.traces"
    "traces.ca_file" "secrets.traces.caKey" }}
{{- range $path, $value := $owned }}
{{- $at := $.Values.config }}
{{- range splitList "." $path }}
{{- $at = kindIs "map" $at | ternary (get (kindIs "map" $at | ternary $at dict) .) nil }}
{{- end }}
{{- if not (or (kindIs "invalid" $at) (eq (toString $at) "")) }}
config.{{ $path }}: is derived by the chart; set {{ $value }} instead
{{- end }}
{{- end }}
{{- range $name, $organization := .Values.organizations }}
{{- if hasKey $organization "id" }}
organizations.{{ $name }}.id: is the key of the map; leave it out
{{- end }}
{{- if and (hasKey $organization "mail") (not $.Values.config.mail) }}
organizations.{{ $name }}.mail: needs a mail server; set config.mail, or leave it out
{{- end }}
{{- end }}
{{- range $name, $caller := .Values.callers }}
{{- if hasKey $caller "name" }}
callers.{{ $name }}.name: is the key of the map; leave it out
{{- end }}
{{- if and (hasKey $caller "san") (not $.Values.grpc.tls.clientCA.enabled) }}
callers.{{ $name }}.san: certificates are not asked for; set grpc.tls.clientCA.enabled
{{- end }}
{{- end }}
{{- if and (or .Values.secrets.traces.key .Values.secrets.traces.caKey) (not .Values.config.traces) }}
secrets.traces: is not used without config.traces; set that, or leave it out
{{- end }}
{{- if eq (toString (.Values.config.mail | default dict).backend) "folder" }}
config.mail.backend: folder is for trying out on one machine, and the file system is read-only; set smtp
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.secrets" -}}
{{- $secrets := .Values.secrets }}
{{- $external := .Values.externalSecret }}
{{- if not $secrets.masterKeys.ids }}
secrets.masterKeys.ids: at least one is needed; make a key with `openssl rand -base64 32` and name it, such as 2026-11
{{- end }}
{{- if ne (len $secrets.masterKeys.ids) (len (uniq $secrets.masterKeys.ids)) }}
secrets.masterKeys.ids: an id is named twice; name each once
{{- end }}
{{- if and $external.enabled $secrets.existingSecret }}
secrets.existingSecret: is given beside externalSecret.enabled; give one of the two
{{- end }}
{{- $files := (include "guardian-auth.secretFiles" . | fromYaml).files }}
{{- if include "guardian-auth.hasMigrationSecret" . }}
{{- $files = append $files (dict "secret" (include "guardian-auth.migrationSecret" .) "key" $secrets.migration.key "path" "migration/url") }}
{{- end }}
{{- $mounted := list }}
{{- range $files }}
{{- if and (not .secret) (not (hasPrefix "tls/" .path)) }}
secrets: nothing says where {{ .key }} is; set secrets.existingSecret, or the existingSecret beside the key
{{- end }}
{{- if not .key }}
secrets: the key of {{ .path }} is empty; name the key of the Secret
{{- end }}
{{- if and $external.enabled (eq .secret (include "guardian-auth.commonSecret" $)) }}
{{- $mounted = append $mounted .key }}
{{- if not (hasKey $external.data .key) }}
externalSecret.data: {{ .key }} is missing; say where it is in the store
{{- end }}
{{- end }}
{{- end }}
{{- if $external.enabled }}
{{- range $key, $_ := $external.data }}
{{- if not (has $key $mounted) }}
externalSecret.data.{{ $key }}: is not used; leave it out
{{- end }}
{{- end }}
{{- if not $external.storeRef.name }}
externalSecret.storeRef.name: is required with externalSecret.enabled
{{- end }}
{{- end }}
{{- if and $secrets.migration.key (eq .Values.migrations.mode "none") }}
secrets.migration: nothing migrates with migrations.mode none; leave it out
{{- end }}
{{- if and $secrets.migration.existingSecret (not $secrets.migration.key) }}
secrets.migration.key: is required with secrets.migration.existingSecret
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.redis" -}}
{{- $secrets := .Values.secrets.redis }}
{{- $egress := .Values.networkPolicy.egress }}
{{- with .Values.redis }}
{{- $standalone := eq .mode "standalone" }}
{{- $sentinel := eq .mode "sentinel" }}
{{- if not .enabled }}
{{- if not $standalone }}
redis.mode: nothing is counted in Redis with redis.enabled false; leave it out, or enable it
{{- end }}
{{- else }}
{{- if $standalone }}
{{- $others := dict
    "redis.addresses" .addresses
    "redis.username" .username
    "redis.tls.enabled" .tls.enabled
    "secrets.redis.passwordKey" $secrets.passwordKey }}
{{- range $name, $value := $others }}
{{- if $value }}
{{ $name }}: is for redis.mode sentinel and cluster; leave it out, and write it into the URL of secrets.redis.key
{{- end }}
{{- end }}
{{- else }}
{{- if not .addresses }}
redis.addresses: is required with redis.mode {{ .mode }}; name {{ $sentinel | ternary "the Sentinels" "some nodes of the cluster" }}
{{- end }}
{{- if and .username (not $secrets.passwordKey) }}
secrets.redis.passwordKey: is required with redis.username; name the key with its password
{{- end }}
{{- range $name, $value := dict "caKey" $secrets.caKey "clientCertificate" $secrets.clientCertificate }}
{{- if and $value (not $.Values.redis.tls.enabled) }}
secrets.redis.{{ $name }}: certificates need TLS; set redis.tls.enabled, or leave it out
{{- end }}
{{- end }}
{{- end }}
{{- if $sentinel }}
{{- if not .sentinel.masterName }}
redis.sentinel.masterName: is required with redis.mode sentinel; write the name of `sentinel monitor`
{{- end }}
{{- if and .sentinel.username (not $secrets.sentinelPasswordKey) }}
secrets.redis.sentinelPasswordKey: is required with redis.sentinel.username; name the key with its password
{{- end }}
{{- else }}
{{- $others := dict
    "redis.sentinel.masterName" .sentinel.masterName
    "redis.sentinel.username" .sentinel.username
    "secrets.redis.sentinelPasswordKey" $secrets.sentinelPasswordKey
    "networkPolicy.egress.sentinel.to" $egress.sentinel.to }}
{{- range $name, $value := $others }}
{{- if $value }}
{{ $name }}: is for redis.mode sentinel; leave it out
{{- end }}
{{- end }}
{{- end }}
{{- if $.Values.networkPolicy.enabled }}
{{- $what := $sentinel | ternary "sentinel" "redis" }}
{{- $port := (get $egress $what).port | int | toString }}
{{- range .addresses }}
{{- if ne (splitList ":" . | last) $port }}
networkPolicy.egress.{{ $what }}.port: is {{ $port }}, and redis.addresses has {{ . }}; write the same port
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.tls" -}}
{{- with .Values.grpc.tls }}
{{- if and (eq .mode "secret") (not .existingSecret) }}
grpc.tls.existingSecret: is required; name a Secret of type kubernetes.io/tls, or choose another grpc.tls.mode
{{- end }}
{{- if and (ne .mode "secret") .existingSecret }}
grpc.tls.existingSecret: is not used with grpc.tls.mode {{ .mode }}; leave it out
{{- end }}
{{- if and (eq .mode "certManager") (not .certManager.issuerRef.name) }}
grpc.tls.certManager.issuerRef.name: is required with grpc.tls.mode certManager
{{- end }}
{{- if and (eq .mode "plaintextBehindProxy") .clientCA.enabled }}
grpc.tls.clientCA.enabled: certificates need TLS; choose another grpc.tls.mode
{{- end }}
{{- if and (eq .mode "plaintextBehindProxy") $.Values.gateway.backendTLSPolicy.enabled }}
gateway.backendTLSPolicy.enabled: needs TLS on our port; choose another grpc.tls.mode
{{- end }}
{{- end }}
{{- if eq (int .Values.grpc.port) (int .Values.ops.port) }}
ops.port: is that of grpc.port; choose another
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.replicas" -}}
{{- $auto := .Values.autoscaling }}
{{- if and $auto.enabled (gt (int $auto.minReplicas) (int $auto.maxReplicas)) }}
autoscaling.minReplicas: is more than autoscaling.maxReplicas; lower it
{{- end }}
{{- if and $auto.enabled (not (.Values.resources.requests | default dict).cpu) }}
resources.requests.cpu: is required with autoscaling, which goes by it
{{- end }}
{{- if eq .Values.database.backend "sqlite" }}
{{- if gt (include "guardian-auth.mostReplicas" . | int) 1 }}
replicaCount: SQLite is for one process; set 1 and no autoscaling, or database.backend postgres
{{- end }}
{{- if .Values.workers.separate }}
workers.separate: SQLite is for one process; set false, or database.backend postgres
{{- end }}
{{- if eq .Values.migrations.mode "job" }}
migrations.mode: a job beside the replica would be a second process on SQLite; set initContainer
{{- end }}
{{- end }}
{{- if and .Values.workers.separate (not (or .Values.config.mail .Values.config.sms)) }}
workers.separate: there is nothing to send; set config.mail or config.sms, or leave it out
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.hash" -}}
{{- $limit := include "guardian-auth.mebibytes" .Values.resources.limits.memory | int }}
{{- $needed := include "guardian-auth.neededMebibytes" . | int }}
{{- if lt $limit $needed }}
resources.limits.memory: {{ $limit }} MiB are less than the {{ $needed }} MiB that config.hash needs; raise it, or lower config.hash.workers
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.network" -}}
{{- $egress := .Values.networkPolicy.egress }}
{{- $smtp := (.Values.config.mail | default dict).smtp }}
{{- $needed := dict
    "dns" true
    "postgres" (eq .Values.database.backend "postgres")
    "redis" .Values.redis.enabled
    "smtp" $smtp
    "sms" .Values.config.sms
    "collector" .Values.config.traces }}
{{- if .Values.networkPolicy.enabled }}
{{- range $what, $is := $needed }}
{{- if and $is (not (get $egress $what).to) }}
networkPolicy.egress.{{ $what }}.to: is required; name the peers (ipBlock, or selectors), or set networkPolicy.enabled to false
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.exposure" -}}
{{- with .Values.gateway.grpcRoute }}
{{- if and .enabled (not .parentRefs) }}
gateway.grpcRoute.parentRefs: is required with gateway.grpcRoute.enabled
{{- end }}
{{- end }}
{{- with .Values.ingress }}
{{- if and .enabled (not .host) }}
ingress.host: is required with ingress.enabled
{{- end }}
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.monitoring" -}}
{{- $alerts := list }}
{{- range (.Files.Get "files/alerts.yaml" | fromYaml).rules }}{{ $alerts = append $alerts .alert }}{{ end }}
{{- range .Values.monitoring.prometheusRule.disabled }}
{{- if not (has . $alerts) }}
monitoring.prometheusRule.disabled: there is no alert {{ . }}; the names are in files/alerts.yaml
{{- end }}
{{- end }}
{{- end -}}

{{- define "guardian-auth.validate.environment" -}}
{{- $names := list "GUARDIAN_AUTH__WORKERS__ENABLED" "GUARDIAN_AUTH__STORE__POSTGRES__URL_FILE" }}
{{- range .Values.extraEnv }}
{{- if has .name $names }}
extraEnv: {{ .name }} is set by the chart, or named twice; leave it out
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name (list "config" "secrets" "migration" "data") }}
extraVolumes: {{ .name }} is a volume of the chart; choose another name
{{- end }}
{{- end }}
{{- end -}}
