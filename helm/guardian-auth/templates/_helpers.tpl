{{/* Names, labels and small computations. Configuration is in _config.tpl, pods in _pod.tpl. */}}

{{/* 40 characters leave room for the longest suffix, a Job's hash and what controllers append to names of pods. */}}
{{- define "guardian-auth.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a component's pods are selected by. Never changes in an upgrade: no version, no label of the user. */}}
{{- define "guardian-auth.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object. Input: root, component. */}}
{{- define "guardian-auth.labels" -}}
{{- $own := include "guardian-auth.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Chart.AppVersion | toString) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- mergeOverwrite (deepCopy .root.Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{/* The metadata of an object. Input: root, component, and optionally suffix (of the name), annotations, labels. */}}
{{- define "guardian-auth.metadata" -}}
{{- $name := include "guardian-auth.fullname" .root -}}
name: {{ empty .suffix | ternary $name (printf "%s-%s" $name .suffix) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "guardian-auth.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "guardian-auth.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "guardian-auth.serviceAccountName" -}}
{{- default (ternary (include "guardian-auth.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The most replicas that answer portals at once; a rollout adds one (maxSurge). */}}
{{- define "guardian-auth.mostReplicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* The fewest replicas that are wanted. */}}
{{- define "guardian-auth.fewestReplicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* A quantity of memory in MiB, rounded down. */}}
{{- define "guardian-auth.mebibytes" -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "k" 1000 "M" 1000000 "G" 1000000000 -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- div (mul ($number | int64) (get $units (trimPrefix $number .) | default 1)) 1048576 -}}
{{- end -}}

{{/* MiB that the hashing threads and the rest need, as `guardian-auth check` computes it: 64 MiB + workers × memory × 1.1. */}}
{{- define "guardian-auth.neededMebibytes" -}}
{{- $hash := .Values.config.hash | default dict -}}
{{- $kib := mul (default 4 $hash.workers | int64) (default 19456 $hash.memory_kib | int64) -}}
{{- add 64 (div (add (mul $kib 11) 10239) 10240) -}}
{{- end -}}

{{/* The port at which the collector of traces is reached: that of its address, unless another one is named. */}}
{{- define "guardian-auth.collectorPort" -}}
{{- $endpoint := urlParse ((.Values.config.traces | default dict).endpoint | default "") -}}
{{- $own := regexFind ":[0-9]+$" $endpoint.host | trimPrefix ":" -}}
{{- .Values.networkPolicy.egress.collector.port | default $own | default (eq $endpoint.scheme "https" | ternary 443 80) | int -}}
{{- end -}}

{{/* Where the mail server listens, as the binary assumes it. */}}
{{- define "guardian-auth.smtpPort" -}}
{{- $smtp := (.Values.config.mail | default dict).smtp | default dict -}}
{{- default (eq (toString $smtp.security) "tls" | ternary 465 587) $smtp.port | int -}}
{{- end -}}
