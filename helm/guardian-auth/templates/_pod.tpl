{{/* What all pods of this chart have in common: nothing that they could do without. */}}

{{/* The container's part of the pod security standard "restricted"; nothing may be written but to volumes. */}}
{{- define "guardian-auth.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{/* A container that runs our binary. Input: root, name, args, and optionally environment (a map). */}}
{{- define "guardian-auth.container" -}}
{{- $root := .root -}}
{{- $paths := include "guardian-auth.paths" $root | fromYaml -}}
{{- $environment := .environment | default dict -}}
name: {{ .name }}
image: {{ include "guardian-auth.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args: {{ toJson (concat (list "--config" (printf "%s/guardian-auth.toml" $paths.config)) .args) }}
{{- if or $environment $root.Values.extraEnv }}
env:
  {{- range $name, $value := $environment }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- with $root.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "guardian-auth.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml $root.Values.resources | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: {{ $paths.config }}
    readOnly: true
  - name: secrets
    mountPath: {{ $paths.secrets }}
    readOnly: true
  {{- if eq $root.Values.database.backend "sqlite" }}
  - name: data
    mountPath: {{ $paths.data }}
  {{- end }}
  {{- if .migration }}
  - name: migration
    mountPath: {{ $paths.migration }}
    readOnly: true
  {{- end }}
  {{- with $root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The container that migrates; the credential for it is mounted here and nowhere else. */}}
{{- define "guardian-auth.migrateContainer" -}}
{{- $own := not (empty (include "guardian-auth.hasMigrationSecret" .)) -}}
{{- $paths := include "guardian-auth.paths" . | fromYaml -}}
{{- $environment := $own | ternary (dict "GUARDIAN_AUTH__STORE__POSTGRES__URL_FILE" (printf "%s/url" $paths.migration)) dict -}}
{{- include "guardian-auth.container" (dict "root" . "name" "migrate" "args" (list "migrate") "environment" $environment "migration" $own) -}}
{{- end -}}

{{/* The fields of every pod, but for its containers and volumes. Input: root, component. */}}
{{- define "guardian-auth.podBase" -}}
serviceAccountName: {{ include "guardian-auth.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Volumes of pods that read the configuration. Input: root, migration (whether a container of the pod migrates). */}}
{{- define "guardian-auth.volumes" -}}
{{- $root := .root -}}
- name: config
  configMap:
    name: {{ include "guardian-auth.fullname" $root }}
- name: secrets
  projected:
    {{- /* For the group only: the kubelet hands the files to fsGroup. */}}
    defaultMode: 0440
    sources:
      {{- range (include "guardian-auth.secretFiles" $root | fromYaml).files }}
      - secret:
          name: {{ .secret | quote }}
          items:
            - key: {{ .key | quote }}
              path: {{ .path | quote }}
      {{- end }}
{{- if and .migration (include "guardian-auth.hasMigrationSecret" $root) }}
- name: migration
  secret:
    secretName: {{ include "guardian-auth.migrationSecret" $root }}
    defaultMode: 0440
    items:
      - key: {{ $root.Values.secrets.migration.key | quote }}
        path: url
{{- end }}
{{- if eq $root.Values.database.backend "sqlite" }}
- name: data
  persistentVolumeClaim:
    claimName: {{ default (include "guardian-auth.fullname" $root) $root.Values.database.sqlite.existingClaim }}
{{- end }}
{{- with $root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A Deployment of the service. Input: root, component, replicas (none if an autoscaler sets them), and optionally suffix, environment. */}}
{{- define "guardian-auth.deployment" -}}
{{- $root := .root -}}
{{- $sqlite := eq $root.Values.database.backend "sqlite" -}}
{{- $migrates := eq $root.Values.migrations.mode "initContainer" -}}
{{- $shutdown := $root.Values.shutdown -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- $annotations := $root.Values.reloader.enabled | ternary (dict "reloader.stakater.com/auto" "true") dict }}
  {{- include "guardian-auth.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
spec:
  {{- with .replicas }}
  replicas: {{ . | int }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "guardian-auth.selectorLabels" . | nindent 6 }}
  strategy:
    {{- if $sqlite }}
    type: Recreate
    {{- else }}
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
    {{- end }}
  template:
    metadata:
      labels:
        {{- mergeOverwrite (deepCopy $root.Values.podLabels) (include "guardian-auth.labels" . | fromYaml) | toYaml | nindent 8 }}
      annotations:
        # Pods follow the file, but not all of it (listen, hash, the database) and not what else a change brings (mounts).
        checksum/config: {{ include "guardian-auth.configuration" $root | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "guardian-auth.podBase" . | nindent 6 }}
      {{- with $root.Values.topologySpread }}
      topologySpreadConstraints:
        {{- range . }}
        - maxSkew: 1
          topologyKey: {{ .topologyKey }}
          whenUnsatisfiable: {{ .whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- include "guardian-auth.selectorLabels" $ | nindent 14 }}
          # Replicas of the version that goes do not count.
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- end }}
      # preStop, drain, and what comes after it: attempts that have begun, the audit log, the pools.
      terminationGracePeriodSeconds: {{ add $shutdown.preStopSeconds $shutdown.drainSeconds 15 }}
      {{- if $migrates }}
      initContainers:
        - {{- include "guardian-auth.migrateContainer" $root | nindent 10 }}
      {{- end }}
      containers:
        - {{- include "guardian-auth.container" (dict "root" $root "name" "guardian-auth" "args" (list "serve") "environment" .environment) | nindent 10 }}
          ports:
            - name: grpc
              containerPort: {{ $root.Values.grpc.port | int }}
            - name: ops
              containerPort: {{ $root.Values.ops.port | int }}
          # Probes of Kubernetes speak no TLS: they ask on the ops port.
          startupProbe:
            grpc: {port: {{ $root.Values.ops.port | int }}, service: liveness}
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            grpc: {port: {{ $root.Values.ops.port | int }}, service: liveness}
            timeoutSeconds: 3
          readinessProbe:
            grpc: {port: {{ $root.Values.ops.port | int }}, service: readiness}
            periodSeconds: 5
            timeoutSeconds: 3
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $shutdown.preStopSeconds | int }}
      volumes:
        {{- include "guardian-auth.volumes" (dict "root" $root "migration" $migrates) | nindent 8 }}
{{- end -}}
