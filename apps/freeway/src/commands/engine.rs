//! A server that answers for a model whose package is here: the options by which commands name it.

use std::path::PathBuf;

use clap::Args;
use freeway_engines::Upstream;
use freeway_node::config::UpstreamConfig;

use super::gateway::upstream_options;
use crate::hints::Problem;

/// Which server answers.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct WhichEngine {
    /// An OpenAI-compatible server that has the same weights as the package, as URL ending in /v1.
    #[arg(long, value_name = "URL", help_heading = "Server of a model")]
    engine: Option<String>,

    /// The model's name at that server [default: that of the package].
    #[arg(long, value_name = "NAME", requires = "engine", help_heading = "Server of a model")]
    engine_model: Option<String>,

    /// A file with the key for that server.
    #[arg(long, value_name = "FILE", requires = "engine", help_heading = "Server of a model")]
    engine_key: Option<PathBuf>,
}

impl WhichEngine {
    /// Whether there is one.
    pub(super) const fn is_named(&self) -> bool {
        self.engine.is_some()
    }

    /// The server for `model`, as a configuration has it; `None` if none is named.
    ///
    /// # Errors
    /// If its URL is none, or its key cannot be read.
    pub(super) fn config(&self, model: &str) -> Result<Option<UpstreamConfig>, Problem> {
        let Some(url) = &self.engine else { return Ok(None) };
        let key_file = match &self.engine_key {
            // In a configuration, relative paths count from the configuration's folder.
            Some(file) => {
                Some(std::path::absolute(file).map_err(|error| Problem::file("find", file, error))?)
            }
            None => None,
        };
        let theirs = self.engine_model.clone().unwrap_or_else(|| model.to_owned());
        let models = [(model.to_owned(), theirs)].into();
        let config = UpstreamConfig { url: url.clone(), key_file, models };
        Upstream::new(upstream_options(&config)?).map_err(|error| {
            Problem::told("invalid_url", error)
                .or_hint("give --engine a URL such as http://127.0.0.1:8080/v1")
        })?;
        Ok(Some(config))
    }
}
