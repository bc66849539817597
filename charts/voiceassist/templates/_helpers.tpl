{{- define "voiceassist.name" -}}
{{- default "voiceassist" .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "voiceassist.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "voiceassist.name" .) .Release.Name -}}
{{- printf "%s-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s-operator" .Release.Name (include "voiceassist.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "voiceassist.selector" -}}
app.kubernetes.io/name: voiceassist-operator
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 }}
{{- end -}}

{{- define "voiceassist.labels" -}}
{{ include "voiceassist.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: voiceassist
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "voiceassist.account" -}}
{{- default (include "voiceassist.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "voiceassist.image" -}}
{{- if contains "@" .image.repository -}}
{{- .image.repository -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .version .image.tag) -}}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "voiceassist.watched" -}}
{{- default .Release.Namespace .Values.watch.namespace -}}
{{- end -}}
