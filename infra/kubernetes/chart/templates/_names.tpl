{{/* Names and labels, of one lakehouse in one namespace. */}}

{{- define "lakehouse.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The same, in one line. */}}
{{- define "lakehouse.match" -}}
{app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .component }}}
{{- end }}

{{- define "lakehouse.labels" -}}
{{ include "lakehouse.selector" . }}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "lakehouse.secret" -}}
{{ .Values.secret.existing | default "lakehouse-secrets" }}
{{- end }}

{{/* Our own images may have a registry before them. */}}
{{- define "lakehouse.image" -}}
{{- $image := index .root.Values.images .image -}}
{{- if and .root.Values.registry (hasPrefix "loan-lakehouse/" $image) -}}
{{ trimSuffix "/" .root.Values.registry }}/{{ $image }}
{{- else -}}
{{ $image }}
{{- end -}}
{{- end }}

{{/* The workloads that run in the cluster, as YAML. */}}
{{- define "lakehouse.workloads" -}}
{{- $found := dict }}
{{- range $name, $workload := .Values.workloads }}
{{- if and $workload.enabled (not (hasKey $.Values.external $name)) }}
{{- $_ := set $found $name $workload }}
{{- end }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{/* The settings, those of services outside the cluster replaced. */}}
{{- define "lakehouse.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- range $name, $outside := .Values.external }}
{{- $port := (index (index $.Values.workloads $name).ports 0).setting }}
{{- $host := required (printf "external.%s.host is the address of a service outside" $name) $outside.host }}
{{- with $outside.port }}
{{- $_ := set $settings $port (toString .) }}
{{- end }}
{{- $_ := set $settings (replace "_PORT" "_HOST" $port) $host }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{/* Who talks to whom: the table of the values, and the set-up steps. */}}
{{- define "lakehouse.edges" -}}
{{- $edges := deepCopy .Values.edges }}
{{- range $name, $workload := .Values.workloads }}
{{- if and $workload.setUp $workload.enabled }}
{{- $_ := set $edges (printf "%s-setup" $name) (prepend $workload.setUpNeeds $name) }}
{{- end }}
{{- end }}
{{- toYaml $edges }}
{{- end }}
