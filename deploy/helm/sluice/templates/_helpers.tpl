{{- define "sluice.name" -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* What the chart decides wins over what config says of it: the pod's grace period is made of it. */ -}}
{{- define "sluice.config" -}}
{{- $chart := dict "drain" (dict "delay" (printf "%ds" (int .Values.drain.delaySeconds)) "window" (printf "%ds" (int .Values.drain.windowSeconds))) "shutdown" (dict "timeout" (printf "%ds" (int .Values.drain.lastSeconds))) -}}
{{- with .Values.tls.secretName }}
{{- $tls := dict "cert" "/etc/sluice-tls/tls.crt" "key" "/etc/sluice-tls/tls.key" "reread" "1m" -}}
{{- if $.Values.tls.ticketKeysSecretName }}
{{- $_ := set $tls "ticket_keys" "/etc/sluice-tickets/tickets.keys" -}}
{{- end }}
{{- $_ := set $chart "tls" $tls -}}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $chart) -}}
{{- end }}
