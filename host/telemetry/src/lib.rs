//! Metrics and health over HTTP: `/metrics` for Prometheus, `/health` for probes. Knows nothing of pipelines: who serves says
//! what there is.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use tiny_http::{Header, Response, Server};

/// A number at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// without `_total`, which counters get
    pub name: &'static str,
    pub help: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// only grows
    Counter(u64),
    Gauge(f64),
}

/// What is served.
pub trait Report: Send + Sync + 'static {
    fn samples(&self) -> Vec<Sample>;
    /// Err: what is wrong, one line.
    fn health(&self) -> Result<(), String>;
}

/// Serves until the process ends.
pub fn serve(address: SocketAddr, report: Arc<dyn Report>) -> Result<SocketAddr, String> {
    let server = Server::http(address).map_err(|e| e.to_string())?;
    let bound = server.server_addr().to_ip().unwrap_or(address);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Samples(report.clone())));
    let run = move || {
        for request in server.incoming_requests() {
            let (status, kind, body) = answer(request.url(), &registry, report.as_ref());
            let response = Response::from_string(body).with_status_code(status);
            let response = match Header::from_bytes("Content-Type", kind) {
                Ok(header) => response.with_header(header),
                Err(()) => response,
            };
            // a client that has gone away needs no answer
            let _ = request.respond(response);
        }
    };
    let thread = std::thread::Builder::new().name("weir-http".into()).spawn(run);
    thread.map(|_| bound).map_err(|e| e.to_string())
}

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn answer(url: &str, registry: &Registry, report: &dyn Report) -> (u16, &'static str, String) {
    match url.split('?').next() {
        Some("/metrics") => {
            let mut body = String::new();
            match encode(&mut body, registry) {
                Ok(()) => (200, OPEN_METRICS, body),
                Err(_) => (500, TEXT, "the metrics cannot be written\n".into()),
            }
        }
        Some("/health") => match report.health() {
            Ok(()) => (200, TEXT, "ok\n".into()),
            Err(why) => (503, TEXT, format!("{why}\n")),
        },
        _ => (404, TEXT, "there is /metrics and /health\n".into()),
    }
}

struct Samples(Arc<dyn Report>);

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Samples")
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut samples = self.0.samples();
        // a family's samples stand together
        samples.sort_by_key(|s| s.name);
        let mut rest = samples.as_slice();
        while let Some(first) = rest.first() {
            let end = rest.iter().position(|s| s.name != first.name).unwrap_or(rest.len());
            let (family, others) = rest.split_at(end);
            let kind = match first.value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            for sample in family {
                let labels = sample.labels.as_slice();
                let encoder = metric.encode_family(&labels)?;
                match sample.value {
                    Value::Counter(n) => ConstCounter::new(n).encode(encoder)?,
                    Value::Gauge(n) => ConstGauge::new(n).encode(encoder)?,
                }
            }
            rest = others;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    struct Shop;

    impl Report for Shop {
        fn samples(&self) -> Vec<Sample> {
            let labels = |p: &str| vec![("pipeline", p.to_string())];
            vec![
                Sample { name: "weir_rows", help: "Rows.", labels: labels("a"), value: Value::Counter(3) },
                Sample { name: "weir_lag", help: "Lag.", labels: labels("a"), value: Value::Gauge(0.5) },
                Sample { name: "weir_rows", help: "Rows.", labels: labels("b"), value: Value::Counter(4) },
            ]
        }
        fn health(&self) -> Result<(), String> {
            Err("b failed".into())
        }
    }

    fn get(at: SocketAddr, path: &str) -> String {
        let mut s = std::net::TcpStream::connect(at).unwrap();
        write!(s, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        s.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn numbers_are_served() {
        let at = serve("127.0.0.1:0".parse().unwrap(), Arc::new(Shop)).unwrap();
        let text = get(at, "/metrics");
        assert!(text.contains("weir_rows_total{pipeline=\"a\"} 3\nweir_rows_total{pipeline=\"b\"} 4"), "{text}");
        assert!(text.contains("weir_lag{pipeline=\"a\"} 0.5"), "{text}");
        assert!(get(at, "/health").contains("503"));
        assert!(get(at, "/nothing").contains("404"));
    }
}
