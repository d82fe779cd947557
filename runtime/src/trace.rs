//! Traces over OTLP, where the standard environment asks for them (`OTEL_EXPORTER_OTLP_ENDPOINT`, or the one for traces
//! alone); nothing otherwise. One result's way is one trace, by the `traceparent` in its message.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::{
    collections::HashMap,
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, Value,
    propagation::TextMapPropagator as _,
    trace::{
        Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, SpanData},
};

/// The one tracer of the process; none where nobody wants traces.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// How long the last spans may take at the end of the process: what was to be done is done, and only a collector that
/// doesn't answer takes all of it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Who wants another protocol than protobuf over HTTP says so here.
const PROTOCOL: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];

/// Sends what is left when the process ends. Not to be dropped by a task: it blocks.
#[must_use = "the last spans are sent when this is dropped"]
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

/// Begins to send traces, if the environment says where to. To be called once, by the program.
pub fn start(service: &'static str, version: &'static str) -> Traces {
    if !is_wanted(|name| std::env::var(name).ok()) {
        return Traces(None);
    }
    // Tried once: a run must not end later because nobody is there to hear of it.
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_retry_policy(RetryPolicy::disabled());
    // The library's own default is not the standard's where JSON is built in, too.
    if !PROTOCOL.iter().any(|name| std::env::var_os(name).is_some()) {
        builder = builder.with_protocol(Protocol::HttpBinary);
    }
    let exporter = match builder.build() {
        Ok(exporter) => exporter,
        Err(error) => {
            tracing::error!("no traces are sent: {error}");
            return Traces(None);
        }
    };
    let mut resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", version));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service);
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Outspoken {
            exporter,
            well: AtomicBool::new(true),
        })
        .with_resource(resource.build())
        .build();
    // A second call, by a program that embeds us, changes nothing.
    let _ = TRACER.set(provider.tracer(service));
    Traces(Some(provider))
}

/// Whether spans are sent anywhere: without, nothing need be found out for them.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

fn is_wanted(environment: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let is = |name: &str, wanted: &str| {
        set(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let somewhere = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    .into_iter()
    .any(|name| set(name).is_some());
    somewhere && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(FAREWELL)
        {
            tracing::warn!("the last traces could not be sent: {error}");
        }
    }
}

/// Where in which trace something belongs: what a `traceparent` says.
/// <https://www.w3.org/TR/trace-context/>
#[derive(Clone, Debug, PartialEq)]
pub struct Parent(SpanContext);

impl Parent {
    /// Reads a `traceparent`. What is none belongs to no trace.
    pub fn parse(traceparent: &str) -> Option<Self> {
        // Longer ones of later versions begin with what this one knows.
        if traceparent.len() > 200 {
            return None;
        }
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self(context))
    }
}

impl fmt::Display for Parent {
    /// As a `traceparent`, of 55 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(context) = self;
        let (trace, span) = (context.trace_id(), context.span_id());
        write!(f, "00-{trace}-{span}-{:02x}", context.trace_flags())
    }
}

/// A part of a result's way, from its beginning until it is dropped. Nothing at all where nobody wants traces.
#[derive(Debug)]
pub struct Span(Option<opentelemetry_sdk::trace::Span>);

impl Span {
    /// Begins now, below `parent`; without one it begins a trace.
    pub fn begin(name: &'static str, kind: Kind, parent: Option<&Parent>) -> Self {
        Self::begun(name, kind, parent, SystemTime::now())
    }

    /// The same for what began earlier.
    pub fn begun(name: &'static str, kind: Kind, parent: Option<&Parent>, at: SystemTime) -> Self {
        Self(TRACER.get().map(|tracer| {
            let context = match parent {
                Some(Parent(parent)) => Context::new().with_remote_span_context(parent.clone()),
                None => Context::new(),
            };
            let kind = match kind {
                Kind::Root => SpanKind::Producer,
                Kind::Calls => SpanKind::Client,
                Kind::Takes => SpanKind::Consumer,
            };
            tracer
                .span_builder(name)
                .with_kind(kind)
                .with_start_time(at)
                .start_with_context(tracer, &context)
        }))
    }

    /// Says something of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// It came to nothing. `why` goes to another system than the log: nothing that a source or a file says, for that may
    /// have values in it.
    pub fn fail(&mut self, why: &dyn fmt::Display) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(why.to_string()));
        }
    }

    /// What belongs below it.
    pub fn parent(&self) -> Option<Parent> {
        let span = self.0.as_ref()?;
        Some(Parent(span.span_context().clone()))
    }
}

/// What a span is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has a result made and sent.
    Root,
    /// It asks a server.
    Calls,
    /// It takes what was sent.
    Takes,
}

/// Says once that the collector doesn't take spans, and once that it does again.
#[derive(Debug)]
struct Outspoken {
    exporter: SpanExporter,
    well: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Outspoken {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let done = self.exporter.export(batch).await;
        let was_well = self.well.swap(done.is_ok(), Ordering::Relaxed);
        match &done {
            Ok(()) if !was_well => tracing::info!("traces are sent again"),
            Err(error) if was_well => {
                tracing::warn!("traces are lost, and nothing else: {error}");
            }
            Ok(()) | Err(_) => {}
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_sent_where_the_standard_environment_says_so() {
        let wanted = |set: &[(&str, &str)]| {
            is_wanted(|name| {
                let value = set.iter().find(|(known, _)| *known == name);
                value.map(|(_, value)| (*value).to_owned())
            })
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert!(!wanted(&[]));
        assert!(!wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(wanted(&[endpoint]));
        assert!(wanted(&[(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://c/v1/traces"
        )]));
        assert!(!wanted(&[endpoint, ("OTEL_SDK_DISABLED", "True")]));
        assert!(!wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[test]
    fn a_traceparent_is_what_w3c_says_and_nothing_else() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(Parent::parse(good).unwrap().to_string(), good);
        let longer = good.replacen("00", "01", 1) + "-something";
        assert_eq!(Parent::parse(&longer).unwrap().to_string(), good);
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "'; DROP TABLE nightdrop.file",
            &"0".repeat(300),
        ] {
            assert_eq!(Parent::parse(bad), None, "{bad}");
        }
    }
}
