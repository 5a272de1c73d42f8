//! What a gateway counts and measures, in the text format of Prometheus.

use core::fmt::Write as _;
use core::time::Duration;

use freeway_engines::Stats;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// The metrics of one gateway.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    first_token: Histogram,
    tokens_per_second: Histogram,
    prompt_tokens: Counter,
    cached_tokens: Counter,
    completion_tokens: Counter,
    running: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("freeway_gateway");
        let this = Self {
            requests: Family::default(),
            // 0.25 ms to 65 s, by factors of four.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 4.0, 10))),
            // 1 ms to 33 s.
            first_token: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            // 0.5 to 8,192.
            tokens_per_second: Histogram::new(exponential_buckets(0.5, 2.0, 15)),
            prompt_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            running: Gauge::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("requests", "Requests by route and status", this.requests.clone());
        let help = "Time from a request to the head of its answer";
        r.register_with_unit("request", help, Unit::Seconds, this.seconds.clone());
        let help = "Time from a request to its first token";
        r.register_with_unit("time_to_first_token", help, Unit::Seconds, this.first_token.clone());
        let help = "Tokens in a second, of one request after its first token";
        r.register("tokens_per_second", help, this.tokens_per_second.clone());
        r.register("prompt_tokens", "Tokens of prompts", this.prompt_tokens.clone());
        r.register("cached_tokens", "Tokens of prompts that were found computed", this.cached_tokens.clone());
        r.register("completion_tokens", "Tokens that were generated", this.completion_tokens.clone());
        r.register("running_requests", "Requests that are worked on, streams included", this.running.clone());
        Self { registry, ..this }
    }

    /// A request was answered, or its stream has begun.
    pub(crate) fn answered(&self, route: &'static str, status: u16, after: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.seconds.get_or_create(&RouteLabels { route }).observe(after.as_secs_f64());
    }

    pub(crate) fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    /// `tokens` came within `time` after the first.
    pub(crate) fn pace(&self, tokens: u64, time: Duration) {
        if tokens > 0 && !time.is_zero() {
            self.tokens_per_second.observe(tokens as f64 / time.as_secs_f64());
        }
    }

    pub(crate) fn tokens(&self, prompt: u64, cached: u64, completion: u64) {
        self.prompt_tokens.inc_by(prompt);
        self.cached_tokens.inc_by(cached);
        self.completion_tokens.inc_by(completion);
    }

    pub(crate) fn running(&self, change: i64) {
        self.running.inc_by(change);
    }

    /// All of it, and what the engines tell.
    pub(crate) fn text(&self, engines: &[(String, Stats)]) -> String {
        let mut out = String::new();
        // Without the mark of the end, which comes after the engines' part.
        if text::encode_registry(&mut out, &self.registry).is_err() {
            tracing::error!("metrics cannot be written");
        }
        for (name, help, kind, read) in ENGINE {
            let _ =
                writeln!(out, "# HELP freeway_engine_{name} {help}.\n# TYPE freeway_engine_{name} {kind}");
            let suffix = if kind == "counter" { "_total" } else { "" };
            for (label, stats) in engines {
                let label = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
                let _ = writeln!(out, "freeway_engine_{name}{suffix}{{engine=\"{label}\"}} {}", read(stats));
            }
        }
        out.push_str("# EOF\n");
        out
    }
}

type Reading = (&'static str, &'static str, &'static str, fn(&Stats) -> u64);

/// What engines tell of themselves.
const ENGINE: [Reading; 11] = [
    ("running", "Sequences or requests that are worked on", "gauge", |s| s.running),
    ("waiting", "Requests that wait", "gauge", |s| s.waiting),
    ("requests", "Requests that were taken", "counter", |s| s.requests),
    ("failures", "Requests that ended with an error", "counter", |s| s.failures),
    ("cancelled", "Requests that were dropped before their end", "counter", |s| s.cancelled),
    ("retries", "Attempts that were repeated", "counter", |s| s.retries),
    ("prompt_tokens", "Tokens of prompts", "counter", |s| s.prompt_tokens),
    ("cached_tokens", "Tokens of prompts that were found computed", "counter", |s| s.cached_tokens),
    ("completion_tokens", "Tokens that were generated", "counter", |s| s.completion_tokens),
    ("cache_bytes_used", "Bytes of keys and values that are in use", "gauge", |s| s.cache_bytes_used),
    ("cache_bytes", "Bytes of keys and values that there is room for", "gauge", |s| s.cache_bytes),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_end() {
        let metrics = Metrics::new();
        metrics.answered("/v1/models", 200, Duration::from_millis(3));
        metrics.first_token(Duration::from_millis(30));
        metrics.pace(10, Duration::from_secs(1));
        let stats = Stats { running: 2, ..Stats::default() };
        let text = metrics.text(&[("an \"engine\"".to_owned(), stats)]);
        assert_eq!(text.matches("# EOF").count(), 1, "{text}");
        assert!(text.contains(r#"freeway_engine_running{engine="an \"engine\""} 2"#), "{text}");
        assert!(
            text.contains(r#"freeway_gateway_requests_total{route="/v1/models",status="200"} 1"#),
            "{text}"
        );
        assert!(text.contains("freeway_gateway_time_to_first_token_seconds_count 1"), "{text}");
    }
}
