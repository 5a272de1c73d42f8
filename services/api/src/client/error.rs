//! Why a request failed, said so that the reader knows what to do.

use crate::error::ErrorDetail;

/// Why a request to a node failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one of a node.
    #[error("{url:?} is not the address of a node ({detail}); write for example http://127.0.0.1:26680")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Nobody listens there.
    #[error("no node answers at {url}; start one with `freeway up` or give --rpc URL")]
    Unreachable {
        /// Where.
        url: String,
    },
    /// No answer in time.
    #[error(
        "{url} did not answer in time; the node may be overloaded or stuck: look at its log, or try another node"
    )]
    TimedOut {
        /// Where.
        url: String,
    },
    /// The connection broke.
    #[error("the connection to {url} broke ({detail}); try again")]
    Broken {
        /// Where.
        url: String,
        /// How.
        detail: String,
    },
    /// The node refused the request.
    #[error("{detail}")]
    Api {
        /// The HTTP status.
        status: u16,
        /// What the node says.
        detail: ErrorDetail,
    },
    /// The answer is not a node's.
    #[error(
        "{url} does not answer like a Freeway node ({detail}); check the address, and that both are of one version"
    )]
    Unexpected {
        /// Where.
        url: String,
        /// What came.
        detail: String,
    },
    /// The answer is longer than this client reads.
    #[error("the answer of {url} is longer than {limit} bytes; ask for less at once")]
    TooLarge {
        /// Where.
        url: String,
        /// The bound.
        limit: usize,
    },
}

impl ClientError {
    /// A stable name for programs: the node's own code, or one of this client.
    pub fn code(&self) -> &str {
        match self {
            Self::BadUrl { .. } => "bad_url",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::Broken { .. } => "broken_connection",
            Self::Api { detail, .. } => &detail.code,
            Self::Unexpected { .. } => "unexpected_answer",
            Self::TooLarge { .. } => "answer_too_large",
        }
    }

    /// Whether the node says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, .. })
    }

    /// What the transport reports, in terms of the reader.
    pub(crate) fn of_transport(url: &str, error: &reqwest::Error) -> Self {
        let url = url.to_owned();
        if error.is_timeout() {
            Self::TimedOut { url }
        } else if error.is_connect() {
            Self::Unreachable { url }
        } else {
            // The error's own text is often only "error sending request"; the innermost cause says more.
            let mut cause: &dyn std::error::Error = error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            Self::Broken { url, detail: cause.to_string() }
        }
    }
}
