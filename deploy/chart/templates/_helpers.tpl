{{/* An image of ours: (dict "root" $ "name" NAME). */}}
{{- define "warmroot.image" -}}
{{ printf "%s/%s:%s" (trimSuffix "/" .root.Values.image.registry) .name (default .root.Chart.AppVersion .root.Values.image.tag) }}
{{- end }}

{{- define "warmroot.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: warmroot
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "warmroot.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment that all containers of ours have. */}}
{{- define "warmroot.env" -}}
{{- with .Values.apiServer.host }}
- {name: KUBERNETES_SERVICE_HOST, value: {{ . | quote }}}
{{- end }}
{{- with .Values.apiServer.port }}
- {name: KUBERNETES_SERVICE_PORT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "warmroot.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "warmroot.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Replicas of one part on different nodes, where there are several. */}}
{{- define "warmroot.spread" -}}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {app.kubernetes.io/name: {{ . }}}}
{{- end }}

{{- define "warmroot.agentArgs" -}}
- --agent-image={{ include "warmroot.image" (dict "root" . "name" "jboost-agent") }}
- --agent-pull={{ .Values.image.pullPolicy }}
{{- if eq .Values.jboost.agent "ConfigMap" }}
- --agent-jar=/agent.jar
{{- else if eq .Values.jboost.agent "ImageVolume" }}
- --image-volumes
{{- end }}
- --server={{ default (printf "http://jboost.%s.svc:8780" .Release.Namespace) .Values.jboost.url }}
- --namespace={{ .Release.Namespace }}
{{- end }}
