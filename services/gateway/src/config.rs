//! How a gateway is set up.

use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::HeaderValue;

use crate::books::BooksError;
use crate::keys::KeySet;
use crate::lanes::LaneEngine;

/// Origins that may be allowed.
const MAX_ORIGINS: usize = 64;

/// How a gateway is set up.
#[derive(Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may call it.
    pub access: Access,
    /// Origins of web pages whose scripts may call it, such as `https://example.org`; `*` for all. None by default.
    pub cors: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// The folder in which it keeps what keys and passes have spent; needed where there are such budgets.
    pub data: Option<PathBuf>,
    /// The folder of passes ([`PassFolder`](crate::PassFolder)); without it none are taken.
    pub passes: Option<PathBuf>,
    /// With what it pays for models that cost something.
    pub payment: Option<Payment>,
    /// The engine of lanes among its engines, if there is one: its receipts are shown.
    pub lanes: Option<Arc<LaneEngine>>,
}

/// The money by which a gateway pays, as it tells callers whose budget does not suffice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The network; passes that are bound to another are refused.
    pub network: String,
    /// The account whose lanes pay the hosts.
    pub pay_to: String,
    /// The name of the money.
    pub asset: String,
}

impl Config {
    /// The usual bounds, and no web pages.
    pub fn new(listen: SocketAddr, access: Access) -> Self {
        Self {
            listen,
            access,
            cors: Vec::new(),
            limits: Limits::default(),
            data: None,
            passes: None,
            payment: None,
            lanes: None,
        }
    }

    /// Whether it makes sense.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if matches!(self.access, Access::Open) && !self.listen.ip().is_loopback() {
            return Err(StartError::OpenToAll(self.listen));
        }
        let budgets = matches!(&self.access, Access::Keys(keys) if keys.has_budgets());
        if self.data.is_none() && (budgets || self.passes.is_some()) {
            return Err(StartError::NoData);
        }
        let good = |origin: &String| HeaderValue::from_str(origin).is_ok() && !origin.is_empty();
        if self.cors.len() > MAX_ORIGINS || !self.cors.iter().all(good) {
            return Err(StartError::Origins);
        }
        Ok(())
    }
}

/// Who may call a gateway.
#[derive(Debug)]
pub enum Access {
    /// Every program of this machine. Only for a gateway that listens on a loopback address.
    Open,
    /// Whoever has one of these keys, or a pass where [`Config::passes`] are taken.
    Keys(KeySet),
}

/// The bounds of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body.
    pub max_body_bytes: usize,
    /// Bytes of all bodies that are being received and read.
    pub total_body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Requests that are worked on at a time, streams included; the others are told to come back.
    pub max_requests: usize,
    /// Connections at a time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Tokens of a chat answer if the request does not say.
    pub default_max_tokens: u32,
    /// A comment is sent in a stream after so long a silence.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 4 << 20,
            total_body_bytes: 64 << 20,
            body_timeout: Duration::from_secs(30),
            max_requests: 2_048,
            max_connections: 4_096,
            default_max_tokens: 4_096,
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without keys it may be reached from this machine alone.
    #[error("{0} can be reached from other machines, so keys are needed; add one, or listen on 127.0.0.1")]
    OpenToAll(SocketAddr),
    /// There is no place for what is spent.
    #[error(
        "keys with budgets, and passes, need a folder in which the gateway keeps what they spent; name one"
    )]
    NoData,
    /// What was spent cannot be read or kept.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The origins are wrong.
    #[error("there can be up to {MAX_ORIGINS} allowed origins, each like \"https://example.org\", or \"*\"")]
    Origins,
    /// The address cannot be used.
    #[error("{address} cannot be listened on: {error}; stop what uses it, or choose another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
}
