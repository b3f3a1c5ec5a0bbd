{{/* What all pods have in common. */}}

{{- define "lakehouse.closed" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "lakehouse.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "lakehouse.resources" -}}
requests: {cpu: {{ .cpuRequest }}, memory: {{ .memoryRequest }}, ephemeral-storage: 64Mi}
limits: {cpu: {{ .cpu | quote }}, memory: {{ .memory }}, ephemeral-storage: 4Gi}
{{- end }}

{{/* The environment: all settings, and of the secrets those that the container reads. */}}
{{- define "lakehouse.environment" -}}
{{- $root := .root }}
{{- $secret := include "lakehouse.secret" $root }}
envFrom:
  - configMapRef: {name: lakehouse-settings}
  {{- if kindIs "string" .secrets }}
  - secretRef: {name: {{ $secret }}}
  {{- end }}
{{- if or .env (kindIs "slice" .secrets) }}
env:
  {{- if kindIs "slice" .secrets }}
  {{- range .secrets }}
  - name: {{ . }}
    valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ . }}}}
  {{- end }}
  {{- end }}
  {{- range $name, $value := .env }}
  - name: {{ $name }}
    {{- if kindIs "string" $value }}
    value: {{ tpl $value $root | quote }}
    {{- else if $value.field }}
    valueFrom: {fieldRef: {fieldPath: {{ $value.field | quote }}}}
    {{- else }}
    valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $value.secret }}}}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Configuration at its place under infra/. Of Airflow's folder it is one file, for our images
     have code in it, too. */}}
{{- define "lakehouse.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- range .configuration }}
{{- if eq . "airflow" }}
- {name: infra-airflow, mountPath: /lakehouse/infra/airflow/airflow.cfg, subPath: airflow.cfg, readOnly: true}
{{- else }}
- {name: infra-{{ replace "/" "-" . }}, mountPath: /lakehouse/infra/{{ . }}, readOnly: true}
{{- end }}
{{- end }}
{{- range $number, $path := .scratch }}
- {name: scratch-{{ $number }}, mountPath: {{ $path }}}
{{- end }}
{{- with .storage }}
- {name: data, mountPath: {{ .path }}}
{{- end }}
{{- if .sharedMemory }}
- {name: shared-memory, mountPath: /dev/shm}
{{- end }}
{{- end }}

{{- define "lakehouse.volumes" -}}
{{- $root := .root }}
- name: tmp
  emptyDir: {sizeLimit: 2Gi}
{{- range $number, $_ := .workload.scratch }}
- name: scratch-{{ $number }}
  emptyDir: {sizeLimit: 2Gi}
{{- end }}
{{- with .workload.sharedMemory }}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: {{ . }}}
{{- end }}
{{- range $folder := .workload.configuration }}
{{- $name := printf "infra-%s" (replace "/" "-" $folder) }}
- name: {{ $name }}
  configMap:
    name: {{ $name }}
    defaultMode: 0555
    items:
      {{- range index $root.Values.configuration $folder }}
      - {key: {{ replace "/" "__" . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- end }}

{{/* An init container that waits for services, by what they answer. */}}
{{- define "lakehouse.await" -}}
name: await
image: {{ include "lakehouse.image" (dict "root" .root "image" .root.Values.steps.image) }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
command: {{ concat (list "python" "-m" "infra" "await") .arguments | toJson }}
{{ include "lakehouse.environment" (dict "root" .root "secrets" "all" "env" dict) }}
securityContext: {{ include "lakehouse.closed" . | nindent 2 }}
resources: {{ include "lakehouse.resources" .root.Values.steps | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* One pod's fields that do not depend on what runs in it. */}}
{{- define "lakehouse.podBase" -}}
serviceAccountName: {{ .component }}
automountServiceAccountToken: false
enableServiceLinks: false # its variables, such as TRINO_PORT, would replace settings
securityContext: {{ include "lakehouse.podSecurity" .user | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
