{{/* One workload of the values: a Deployment or a StatefulSet. */}}

{{- define "lakehouse.probe" -}}
{{- if .question.http }}
httpGet:
  path: {{ .question.http }}
  port: {{ .port }}
  {{- with .question.host }}
  httpHeaders: [{name: Host, value: {{ tpl . $.root | quote }}}]
  {{- end }}
{{- else if .question.tcp }}
tcpSocket: {port: {{ .port }}}
{{- else }}
exec: {command: [sh, -c, {{ .question.shell | quote }}]}
{{- end }}
timeoutSeconds: 5
{{- end }}

{{/* At the start, it may take five minutes; a restart later comes after `aliveMinutes`. */}}
{{- define "lakehouse.probes" -}}
{{- $alive := dict "root" .root "question" .container.probe "port" .port }}
{{- $ready := dict "root" .root "question" (.container.ready | default .container.probe) "port" .port }}
startupProbe: {{ include "lakehouse.probe" $alive | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 60
livenessProbe: {{ include "lakehouse.probe" $alive | nindent 2 }}
  periodSeconds: 20
  failureThreshold: {{ mul 3 (.container.aliveMinutes | default 2) }}
readinessProbe: {{ include "lakehouse.probe" $ready | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 3
{{- end }}

{{- define "lakehouse.container" -}}
{{- $container := .container }}
name: {{ .name }}
image: {{ include "lakehouse.image" (dict "root" .root "image" $container.image) }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
{{- with $container.command }}
command: {{ toJson . }}
{{- end }}
{{- with concat ($container.args | default list) ($container.moreArgs | default list) }}
args: {{ toJson . }}
{{- end }}
{{- with $container.workingDir }}
workingDir: {{ . }}
{{- end }}
{{- $env := merge (dict) ($container.env | default dict) (.workload.env | default dict) }}
{{ include "lakehouse.environment" (dict "root" .root "secrets" $container.secrets "env" $env) }}
{{- $serves := or $container.serves (eq (len .workload.containers) 1) }}
{{- $settings := include "lakehouse.settings" .root | fromYaml }}
{{- $port := "" }}
{{- if and $serves .workload.ports }}
{{- $port = (index .workload.ports 0).name }}
ports:
  {{- range .workload.ports }}
  - {name: {{ .name }}, containerPort: {{ index $settings .setting }}}
  {{- end }}
{{- end }}
securityContext: {{ include "lakehouse.closed" . | nindent 2 }}
resources: {{ include "lakehouse.resources" $container | nindent 2 }}
{{ include "lakehouse.probes" (dict "root" .root "container" $container "port" $port) }}
{{- with $container.preStop }}
lifecycle: {preStop: {exec: {command: [sh, -c, {{ . | quote }}]}}}
{{- end }}
volumeMounts: {{ include "lakehouse.mounts" .workload | nindent 2 }}
{{- end }}

{{/* What runs before the containers: waiting for what it needs, and Airflow's own preparation. */}}
{{- define "lakehouse.initContainers" -}}
{{- if .workload.needs }}
- {{ include "lakehouse.await" (dict "root" .root "arguments" .workload.needs) | nindent 2 | trim }}
{{- end }}
{{- with .workload.prepare }}
{{- $container := omit (index $.workload.containers .) "probe" "ready" }}
{{- $env := merge (dict) ($container.env | default dict) ($.workload.env | default dict) }}
- name: prepare
  image: {{ include "lakehouse.image" (dict "root" $.root "image" $container.image) }}
  imagePullPolicy: {{ $.root.Values.imagePullPolicy }}
  command: [python, -m, infra, prepare, {{ $.name }}]
  {{- include "lakehouse.environment" (dict "root" $.root "secrets" "all" "env" $env) | nindent 2 }}
  securityContext: {{ include "lakehouse.closed" $ | nindent 4 }}
  resources: {{ include "lakehouse.resources" $container | nindent 4 }}
  volumeMounts: {{ include "lakehouse.mounts" $.workload | nindent 4 }}
{{- end }}
{{- end }}

{{/* A change of what a pod reads at its start makes new pods. */}}
{{- define "lakehouse.checksum" -}}
{{- $text := include "lakehouse.settings" .root }}
{{- range $folder := .workload.configuration }}
{{- range index $.root.Values.configuration $folder }}
{{- $text = print $text ($.root.Files.Get (printf "infra/%s/%s" $folder .)) }}
{{- end }}
{{- end }}
{{- sha256sum $text }}
{{- end }}

{{- define "lakehouse.spread" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {{ include "lakehouse.match" $ }}}
{{- end }}
{{- end }}
