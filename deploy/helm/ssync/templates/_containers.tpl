{{- /* What no container of a pod may. */ -}}
{{- define "ssync.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- define "ssync.confMounts" -}}
- name: swift
  mountPath: /etc/swift
  readOnly: true
{{- if .Values.conf.objectServer }}
- name: conf
  mountPath: /etc/ssync/conf
  readOnly: true
{{- end }}
{{- end -}}

{{- /* Devices that are mounted or unmounted later are seen. */ -}}
{{- define "ssync.deviceMounts" -}}
- name: devices
  mountPath: /srv/node
  mountPropagation: HostToContainer
- name: recon
  mountPath: /var/cache/swift
{{- end -}}

{{- /* What the chart sets itself. A name that `env` or `extraEnv` has as well is left to them. */ -}}
{{- define "ssync.ownEnv" -}}
{{- $values := .root.Values -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
# The kubelet and Prometheus come by the address of the pod, not by loopback.
- name: {{ .admin.option }}
  value: "$(POD_IP):{{ .admin.port }}"
{{- if eq $values.network "pod" }}
# The ring knows the node, not the pod.
- name: SSYNC_RING_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
{{- end }}
# Whoever comes through a proxy on the node comes from loopback.
- name: SSYNC_TRUST_LOOPBACK
  value: {{ $values.trustLoopback | quote }}
{{- with $values.ports.replication }}
# The ring names that port for replication and the other one for clients.
- name: SSYNC_REPLICATION_BIND
  value: "0.0.0.0:{{ . }}"
{{- end }}
{{- if $values.tls.existingSecret }}
- name: SSYNC_TLS_CERTIFICATE
  value: /etc/ssync/tls/tls.crt
- name: SSYNC_TLS_KEY
  value: /etc/ssync/tls/tls.key
- name: SSYNC_TLS_CA
  value: /etc/ssync/tls/ca.crt
{{- end }}
- name: SSYNC_LOG_FORMAT
  value: json
- name: SSYNC_DRAIN_NOTICE
  value: {{ $values.drain.notice | quote }}
- name: SSYNC_DRAIN_TIMEOUT
  value: {{ $values.drain.timeout | quote }}
{{- end -}}

{{- /* One of ssync's containers. Takes root, command, admin (option and port), and what it mounts beside conf. */ -}}
{{- define "ssync.container" -}}
{{- $values := .root.Values -}}
name: {{ .command }}
image: {{ include "ssync.image" .root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args: [{{ .command | quote }}, "--conf", {{ include "ssync.conf" .root | quote }}]
env:
  {{- $given := keys $values.env }}
  {{- range $values.extraEnv }}
  {{- $given = append $given .name }}
  {{- end }}
  {{- range include "ssync.ownEnv" . | fromYamlArray }}
  {{- if not (has .name $given) }}
  {{- list . | toYaml | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- range $name, $value := $values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  {{- if .serves }}
  - name: ring
    containerPort: {{ $values.ports.ring }}
    {{- if eq $values.network "pod" }}
    hostPort: {{ $values.ports.ring }}
    {{- end }}
  {{- with $values.ports.replication }}
  - name: replication
    containerPort: {{ . }}
    {{- if eq $values.network "pod" }}
    hostPort: {{ . }}
    {{- end }}
  {{- end }}
  {{- end }}
  - name: {{ .admin.name }}
    containerPort: {{ .admin.port }}
# Serving as long as the process runs, also while it drains.
livenessProbe:
  grpc:
    port: {{ .admin.port }}
    service: live
  periodSeconds: 10
  {{- toYaml $values.probes.liveness | nindent 2 }}
# Not serving before rings and devices are read, and from the first moment of a drain.
readinessProbe:
  grpc:
    port: {{ .admin.port }}
  periodSeconds: 5
  {{- toYaml $values.probes.readiness | nindent 2 }}
startupProbe:
  grpc:
    port: {{ .admin.port }}
    service: live
  periodSeconds: 2
  timeoutSeconds: {{ $values.probes.liveness.timeoutSeconds }}
  failureThreshold: 60
{{- with index $values.resources .command }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "ssync.securityContext" .root | nindent 2 }}
volumeMounts:
  {{- include "ssync.confMounts" .root | nindent 2 }}
  {{- if .devices }}
  {{- include "ssync.deviceMounts" .root | nindent 2 }}
  {{- else }}
  # What daemons tell swift-recon.
  - name: recon
    mountPath: /var/cache/swift
    readOnly: true
  {{- end }}
  {{- if eq $values.processes "three" }}
  - name: socket
    mountPath: /run/ssync
  {{- end }}
  {{- if $values.tls.existingSecret }}
  - name: tls
    mountPath: /etc/ssync/tls
    readOnly: true
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* One of stock Swift's daemons. Takes root and name. */ -}}
{{- define "ssync.stock" -}}
{{- $values := .root.Values -}}
name: {{ .name }}
image: {{ $values.stock.image }}
imagePullPolicy: {{ $values.stock.pullPolicy }}
# -v: what it logs goes to the container's output as well; there is no syslog here.
command: [swift-object-{{ .name }}, {{ include "ssync.conf" .root | quote }}, -v]
env:
  - name: PYTHONDONTWRITEBYTECODE
    value: "1"
{{- with (index $values.stock .name).resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "ssync.securityContext" .root | nindent 2 }}
volumeMounts:
  {{- include "ssync.confMounts" .root | nindent 2 }}
  {{- include "ssync.deviceMounts" .root | nindent 2 }}
  - name: tmp
    mountPath: /tmp
{{- end -}}
