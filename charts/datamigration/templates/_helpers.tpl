{{- define "datamigration.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's after it unless it is part of it already. */}}
{{- define "datamigration.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "datamigration.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "datamigration.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "datamigration.selector" -}}
app.kubernetes.io/name: {{ include "datamigration.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "datamigration.labels" -}}
{{ include "datamigration.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "datamigration.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "datamigration.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "datamigration.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do in the namespaces it watches. No access to Secrets: pods name them, and
the kubelet reads them. */}}
{{- define "datamigration.rules" -}}
- apiGroups: [datamigration.dev]
  resources: [datamigrations]
  verbs: [get, list, watch, patch, update]
- apiGroups: [datamigration.dev]
  resources: [datamigrations/status]
  verbs: [get, patch, update]
- apiGroups: [datamigration.dev]
  resources: [migrationtargets]
  verbs: [get, list, watch]
# What the check of a target found.
- apiGroups: [datamigration.dev]
  resources: [migrationtargets/status]
  verbs: [get, patch, update]
# Owning an object with blockOwnerDeletion takes the right to set its owner's finalizers, where the
# admission plugin OwnerReferencesPermissionEnforcement is on.
- apiGroups: [datamigration.dev]
  resources: [datamigrations/finalizers, migrationtargets/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
# Watched by their metadata only: an edited program wakes its migration.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
# Whether the namespace of a run is being deleted: its Job then gets no other pod.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Why a Job's pod could not be created: a quota, a limit range.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- if .Values.networkPolicy.enabled }}
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
