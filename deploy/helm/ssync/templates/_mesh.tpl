{{- /* Seconds from SIGTERM to SIGKILL. */ -}}
{{- define "ssync.grace" -}}
{{- $drain := add .Values.drain.notice .Values.drain.timeout -}}
{{- add 20 (mul $drain (ternary 1 2 (eq .Values.processes "one"))) -}}
{{- end -}}

{{- /* What a mesh has to be told on the pod: docs/mesh.md says why. */ -}}
{{- define "ssync.meshAnnotations" -}}
{{- if eq .Values.mesh "istio" -}}
{{- /* Probes and Prometheus come from outside of the mesh. */ -}}
traffic.sidecar.istio.io/excludeInboundPorts: "6301,6302,6303"
sidecar.istio.io/rewriteAppHTTPProbers: "false"
proxy.istio.io/config: |
  holdApplicationUntilProxyStarts: true
  terminationDrainDuration: {{ sub (include "ssync.grace" .) 15 }}s
  proxyMetadata:
    EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true"
{{- else if eq .Values.mesh "linkerd" -}}
linkerd.io/inject: enabled
config.linkerd.io/opaque-ports: {{ .Values.ports.ring | quote }}
config.linkerd.io/skip-inbound-ports: "6301,6302,6303"
config.linkerd.io/shutdown-grace-period: {{ include "ssync.grace" . }}s
# The proxy is up before the daemons and ends after them.
config.alpha.linkerd.io/proxy-enable-native-sidecar: "true"
{{- end -}}
{{- end -}}

{{- /* How a mesh is to read the port for gRPC alone. */ -}}
{{- define "ssync.grpcProtocol" -}}
{{- ternary "kubernetes.io/h2c" "grpc" (eq .Values.mesh "linkerd") -}}
{{- end -}}
