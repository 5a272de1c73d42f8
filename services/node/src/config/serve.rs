//! The section of a node whose host serves models in lanes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::GatewayConfig;

/// The most models that a host serves; networks may allow fewer.
const MAX_MODELS: usize = 64;
/// The most requests that a host does at once.
const MAX_REQUESTS: usize = 4_096;

/// What a host serves to those who pay in lanes. It is asked where its openings are, at `sprint.listen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeConfig {
    /// The models, by name or root. The host says by itself on the chain that it serves those of them that are
    /// registered there. The built-in one is `guide`.
    #[serde(default = "GatewayConfig::default_serve")]
    pub models: Vec<String>,
    /// Paid requests at once; more are told to come again.
    #[serde(default = "ServeConfig::default_requests")]
    pub requests: usize,
    /// The folder of model packages.
    #[serde(default = "GatewayConfig::default_models")]
    pub folder: PathBuf,
    /// Threads that compute; 0 takes one for each core. This and the next two hold for the node's own gateway as well:
    /// both have one engine.
    #[serde(default)]
    pub threads: usize,
    /// Memory for keys and values of each model, in MiB.
    #[serde(default = "GatewayConfig::default_cache_mib")]
    pub cache_mib: usize,
    /// Sequences that each model computes at once.
    #[serde(default = "GatewayConfig::default_sequences")]
    pub sequences: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            models: GatewayConfig::default_serve(),
            requests: Self::default_requests(),
            folder: GatewayConfig::default_models(),
            threads: 0,
            cache_mib: GatewayConfig::default_cache_mib(),
            sequences: GatewayConfig::default_sequences(),
        }
    }
}

impl ServeConfig {
    /// As many as a small machine serves well.
    pub fn default_requests() -> usize {
        32
    }

    /// What makes no sense, in words.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_MODELS).contains(&self.models.len()) {
            return Err(format!(
                "serve.models must have from 1 to {MAX_MODELS} models; remove the section to serve none"
            ));
        }
        if !(1..=MAX_REQUESTS).contains(&self.requests) {
            return Err(format!("serve.requests must be from 1 to {MAX_REQUESTS}"));
        }
        super::gateway::check_engine("serve", self.threads, self.sequences, self.cache_mib)
    }

    /// Lets relative paths count from `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.folder = folder.join(&self.folder);
    }
}
