//! How an upstream is reached, and how long and how much is waited for and taken from it.

use core::fmt;
use core::time::Duration;

use crate::Capabilities;

/// Everything about one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Where its interface is: `http://host:port/v1`.
    pub base_url: String,
    /// The bearer key it wants, if any.
    pub key: Option<Secret>,
    /// Our names of its models, and its own. If empty, all that it lists are offered under its own names.
    pub models: Vec<(String, String)>,
    /// What its models can do. `takes_tokens` and `exact` cannot be: they are ignored.
    pub capabilities: Capabilities,
    /// Who offers its models, where its list does not say.
    pub owned_by: String,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// How often is tried again.
    pub retries: Retries,
    /// How much is taken.
    pub limits: UpstreamLimits,
}

impl UpstreamOptions {
    /// The server at `base_url`, with all its models, which generate.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            models: Vec::new(),
            capabilities: Capabilities { can_execute: true, ..Capabilities::default() },
            owned_by: "upstream".to_owned(),
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            limits: UpstreamLimits::default(),
        }
    }
}

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection.
    pub connect: Duration,
    /// For the beginning of a streamed answer.
    pub first_byte: Duration,
    /// For the beginning of a whole answer: servers compute all of it first.
    pub whole: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// For lists of models and other small answers.
    pub small: Duration,
    /// How old a list of models may be before it is asked for again.
    pub models: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            whole: Duration::from_secs(600),
            idle: Duration::from_secs(60),
            small: Duration::from_secs(10),
            models: Duration::from_secs(60),
        }
    }
}

/// How often a request is tried again, as long as no answer began: after an error of the connection, and after the
/// statuses 429, 500, 502, 503 and 504.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often in all, the first time too; at least once.
    pub attempts: u32,
    /// The pause after the first attempt; it doubles each time.
    pub pause: Duration,
    /// The longest pause. A server that asks for a longer one is not waited for.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_millis(250), longest: Duration::from_secs(4) }
    }
}

/// How much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// The longest body that is sent.
    pub request_bytes: usize,
    /// The longest whole answer.
    pub answer_bytes: usize,
    /// The longest streamed answer, all its pieces together.
    pub stream_bytes: usize,
    /// The longest piece of a streamed answer.
    pub event_bytes: usize,
    /// The longest text of an error.
    pub error_bytes: usize,
    /// The most models of a list.
    pub models: usize,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            request_bytes: 16 << 20,
            answer_bytes: 32 << 20,
            stream_bytes: 256 << 20,
            event_bytes: 1 << 20,
            error_bytes: 64 << 10,
            models: 1_000,
        }
    }
}

/// A key. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
