//! The section of a node whose host serves models in lanes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{GatewayConfig, UpstreamConfig};

/// The most models that a host serves; networks may allow fewer.
const MAX_MODELS: usize = 64;
/// The most requests that a host does at once.
const MAX_REQUESTS: usize = 4_096;

/// What a host serves to those who pay in lanes. It is asked where its openings are, at `sprint.listen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[schema(value_type = String, format = "path")]
    pub folder: PathBuf,
    /// Threads that compute; 0 takes one for each core. This, `cache_mib` and `sequences` hold for the node's own gateway as well:
    /// both have one engine.
    #[serde(default)]
    pub threads: usize,
    /// Memory for keys and values of each model, in MiB.
    #[serde(default = "GatewayConfig::default_cache_mib")]
    pub cache_mib: usize,
    /// Sequences that each model computes at once.
    #[serde(default = "GatewayConfig::default_sequences")]
    pub sequences: usize,
    /// OpenAI-compatible servers that answer for some of the models, of the statistical tier: with the same weights as
    /// the package here, from which tokenizer and template are taken and by which answers of others are scored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<UpstreamConfig>,
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
            upstream: Vec::new(),
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
        super::gateway::check_engine("serve", self.threads, self.sequences, self.cache_mib)?;
        super::gateway::check_upstreams("serve", &self.upstream)?;
        let mut answered = BTreeSet::new();
        for (name, upstream) in self.answered_elsewhere() {
            if !self.models.contains(name) {
                return Err(format!(
                    "serve.upstream {:?} answers for {name:?}, which is not in serve.models; add it there, spelled the same",
                    upstream.url
                ));
            }
            if !answered.insert(name) {
                return Err(format!(
                    "serve.upstream: two servers answer for {name:?}; leave it to one of them"
                ));
            }
        }
        Ok(())
    }

    /// The models for which a server answers, as `models` names them, each with that server.
    pub fn answered_elsewhere(&self) -> impl Iterator<Item = (&String, &UpstreamConfig)> {
        self.upstream.iter().flat_map(|upstream| upstream.models.keys().map(move |name| (name, upstream)))
    }

    /// Lets relative paths count from `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.folder = folder.join(&self.folder);
        for file in self.upstream.iter_mut().filter_map(|upstream| upstream.key_file.as_mut()) {
            *file = folder.join(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &str = r#"
models = ["guide", "big"]
[[upstream]]
url = "http://127.0.0.1:8080/v1"
key_file = "key"
models = { big = "qwen2.5-7b" }
"#;

    #[test]
    fn a_server_may_answer_for_a_model() {
        let mut serve: ServeConfig = toml::from_str(SECTION).unwrap();
        serve.check().unwrap();
        let answered: Vec<&String> = serve.answered_elsewhere().map(|(name, _)| name).collect();
        assert_eq!(answered, ["big"]);
        let written = toml::to_string_pretty(&serve).unwrap();
        assert_eq!(toml::from_str::<ServeConfig>(&written).unwrap(), serve);
        assert!(!toml::to_string_pretty(&ServeConfig::default()).unwrap().contains("upstream"));
        serve.resolve(Path::new("/node"));
        assert_eq!(serve.upstream[0].key_file.as_deref(), Some(Path::new("/node/key")));
    }

    #[test]
    fn servers_that_make_no_sense_are_named() {
        for (from, to, named) in [
            ("[\"guide\", \"big\"]", "[\"guide\"]", "not in serve.models"),
            ("{ big = \"qwen2.5-7b\" }", "{}", "serves no model"),
            (
                "[[upstream]]",
                "[[upstream]]\nurl = \"b\"\nmodels = { big = \"x\" }\n[[upstream]]",
                "two servers",
            ),
        ] {
            let serve: ServeConfig = toml::from_str(&SECTION.replace(from, to)).unwrap();
            let error = serve.check().unwrap_err();
            assert!(error.contains(named) && error.contains("serve.upstream"), "{error}");
        }
    }
}
