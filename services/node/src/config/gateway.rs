//! The section of a node that answers developers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Sequences that one model computes at once, at most.
const MAX_SEQUENCES: usize = 4_096;
/// Servers that one gateway passes requests on to, at most.
const MAX_UPSTREAMS: usize = 64;

/// How a node serves models behind the OpenAI interface.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens, as IP:PORT; port 0 takes a free one.
    #[schema(value_type = String, format = "IP:PORT")]
    pub listen: SocketAddr,
    /// A file of keys, one `NAME KEY` a line. Without it everybody is answered, which only a loopback address
    /// may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "path")]
    pub keys: Option<PathBuf>,
    /// The folder in which the gateway keeps what keys with budgets and passes have spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "path")]
    pub data: Option<PathBuf>,
    /// The folder of passes, with the public keys of their owners and the list of revoked ones. Without it no pass
    /// is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "path")]
    pub passes: Option<PathBuf>,
    /// The folder of model packages.
    #[serde(default = "GatewayConfig::default_models")]
    #[schema(value_type = String, format = "path")]
    pub models: PathBuf,
    /// The models that are served, by name or root of their packages. The built-in one is `guide`.
    #[serde(default = "GatewayConfig::default_serve")]
    pub serve: Vec<String>,
    /// Threads that compute; 0 takes one for each core.
    #[serde(default)]
    pub threads: usize,
    /// Memory for keys and values of each model, in MiB.
    #[serde(default = "GatewayConfig::default_cache_mib")]
    pub cache_mib: usize,
    /// Sequences that each model computes at once.
    #[serde(default = "GatewayConfig::default_sequences")]
    pub sequences: usize,
    /// Web pages that may ask, as origins such as `https://example.org`; none unless named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cors: Vec<String>,
    /// OpenAI-compatible servers that answer for further models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<UpstreamConfig>,
}

/// A server that answers for models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Its base URL, ending in `/v1`.
    pub url: String,
    /// A file with the key that it wants, in its first line. Without it none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "path")]
    pub key_file: Option<PathBuf>,
    /// The names of models here, with their names there, such as `{ big = "qwen2.5-7b" }`; at least one.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
}

impl GatewayConfig {
    /// The guide on all cores, for every program of this machine.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            keys: None,
            data: None,
            passes: None,
            models: Self::default_models(),
            serve: Self::default_serve(),
            threads: 0,
            cache_mib: Self::default_cache_mib(),
            sequences: Self::default_sequences(),
            cors: Vec::new(),
            upstream: Vec::new(),
        }
    }

    /// The usual folder of packages.
    pub fn default_models() -> PathBuf {
        "models".into()
    }

    /// The guide alone.
    pub fn default_serve() -> Vec<String> {
        vec!["guide".into()]
    }

    /// Room for some conversations of a small model.
    pub fn default_cache_mib() -> usize {
        256
    }

    /// As many as a small machine serves well.
    pub fn default_sequences() -> usize {
        32
    }

    /// What makes no sense, in words.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.keys.is_none() && !self.listen.ip().is_loopback() {
            return Err(
                "gateway.listen can be reached from other machines; name a file of keys in gateway.keys, \
                        or listen on 127.0.0.1"
                    .into(),
            );
        }
        check_engine("gateway", self.threads, self.sequences, self.cache_mib)?;
        if self.passes.is_some() && self.data.is_none() {
            return Err(
                "gateway.passes needs gateway.data, a folder in which is kept what the passes have spent"
                    .into(),
            );
        }
        check_upstreams("gateway", &self.upstream)
    }

    /// Lets relative paths count from `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let keys = self.upstream.iter_mut().filter_map(|upstream| upstream.key_file.as_mut());
        let folders = self.data.as_mut().into_iter().chain(self.passes.as_mut());
        let files = std::iter::once(&mut self.models).chain(self.keys.as_mut()).chain(keys);
        for relative in files.chain(folders) {
            *relative = folder.join(&relative);
        }
    }
}

/// What makes no sense of the servers that a `section` passes requests on to.
pub(super) fn check_upstreams(section: &str, upstreams: &[UpstreamConfig]) -> Result<(), String> {
    if upstreams.len() > MAX_UPSTREAMS {
        return Err(format!("{section}.upstream names more than {MAX_UPSTREAMS} servers"));
    }
    if let Some(empty) = upstreams.iter().find(|upstream| upstream.models.is_empty()) {
        return Err(format!(
            "{section}.upstream {:?} serves no model; write models = {{ \"name here\" = \"name there\" }}",
            empty.url
        ));
    }
    Ok(())
}

/// What makes no sense of an engine's settings in `section`.
pub(super) fn check_engine(
    section: &str,
    threads: usize,
    sequences: usize,
    cache_mib: usize,
) -> Result<(), String> {
    if threads > 4_096 {
        return Err(format!("{section}.threads must be at most 4096"));
    }
    if !(1..=MAX_SEQUENCES).contains(&sequences) {
        return Err(format!("{section}.sequences must be from 1 to {MAX_SEQUENCES}"));
    }
    if !(1..=1 << 20).contains(&cache_mib) {
        return Err(format!("{section}.cache_mib must be from 1 to 1048576, a tebibyte"));
    }
    Ok(())
}
