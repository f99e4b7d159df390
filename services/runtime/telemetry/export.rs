//! Whether traces leave the process: OpenTelemetry's own variables say, and nothing else.

use opentelemetry_otlp::{ExporterBuildError, SpanExporter};

/// What becomes of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// There are none (OTEL_SDK_DISABLED).
    Disabled,
    /// Their context is passed on from hop to hop; they themselves are dropped.
    ContextOnly,
    /// They are sent by OTLP over gRPC.
    Otlp,
}

/// Why traces cannot be exported as asked.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// This program speaks OTLP over gRPC only.
    #[error(
        "OTLP by {0:?} is not spoken here; set OTEL_EXPORTER_OTLP_PROTOCOL=grpc and an endpoint for it (port 4317)"
    )]
    Protocol(String),
    /// This program exports by OTLP only.
    #[error("OTEL_TRACES_EXPORTER={0:?} is not known here; write otlp or none")]
    Exporter(String),
    /// The exporter refuses its variables.
    #[error("the exporter of traces cannot be set up: {0}")]
    Build(#[from] ExporterBuildError),
}

impl Export {
    /// Reads the variables of the OpenTelemetry specification.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ExportError> {
        let set = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::Disabled);
        }
        match set("OTEL_TRACES_EXPORTER").as_deref() {
            Some("none") => return Ok(Self::ContextOnly),
            Some("otlp") | None => {}
            Some(other) => return Err(ExportError::Exporter(other.to_owned())),
        }
        let endpoint =
            set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
        if endpoint.is_none() {
            return Ok(Self::ContextOnly);
        }
        match set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL"))
            .as_deref()
        {
            Some("grpc") | None => Ok(Self::Otlp),
            Some(other) => Err(ExportError::Protocol(other.to_owned())),
        }
    }
}

/// Reads endpoint, headers and time-outs from the standard variables itself.
pub(super) fn exporter() -> Result<SpanExporter, ExportError> {
    Ok(SpanExporter::builder().with_tonic().build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(variables: &[(&str, &str)]) -> Result<Export, String> {
        Export::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn traces_leave_only_when_the_variables_ask_for_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        assert_eq!(export(&[]), Ok(Export::ContextOnly));
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(Export::ContextOnly));
        assert_eq!(export(&[endpoint]), Ok(Export::Otlp));
        assert_eq!(export(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x:1")]), Ok(Export::Otlp));
        assert_eq!(export(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(Export::ContextOnly));
        assert_eq!(export(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(Export::Disabled));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert!(
            export(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")])
                .unwrap_err()
                .contains("4317")
        );
        assert!(export(&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")]).unwrap_err().contains("zipkin"));
    }
}
