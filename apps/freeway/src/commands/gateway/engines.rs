//! The engine of this machine: one for whoever answers with it, a gateway, a host that serves in lanes, or both.

use std::path::Path;
use std::sync::Arc;

use freeway_engines::{Engine, Exact, ExactOptions, Registry, TextAssets, TokenServer, Upstream};
use freeway_models::{Library, Package, guide};
use freeway_node::config::{GatewayConfig, LanesConfig, ServeConfig, UpstreamConfig};
use freeway_primitives::Digest;

use super::start::upstream_options;
use crate::hints::Problem;

/// What the name of a coarser model ends with.
const COARSE: &str = "-coarse";

/// What this machine computes with.
pub(crate) struct Engines {
    /// Models by their names, for all who answer.
    pub(crate) registry: Arc<Registry>,
    exact: Arc<Exact>,
    /// The models that this machine computes.
    models: Vec<Package>,
    /// Servers that answer for some of them, by their names; what they say is scored here.
    servers: Vec<(String, Arc<dyn Engine>)>,
}

impl Engines {
    /// An engine with the models of both sections; `serve` says how large it is, if it is there.
    ///
    /// # Errors
    /// If a model cannot be read.
    pub(crate) fn new(gateway: Option<&GatewayConfig>, serve: Option<&ServeConfig>) -> Result<Self, Problem> {
        let size = match (serve, gateway) {
            (Some(serve), _) => Some((serve.threads, serve.cache_mib, serve.sequences)),
            (None, Some(gateway)) => Some((gateway.threads, gateway.cache_mib, gateway.sequences)),
            (None, None) => None,
        };
        let mut options = ExactOptions::default();
        if let Some((threads, cache_mib, sequences)) = size {
            if threads > 0 {
                options.model.threads = threads;
            }
            options.engine.cache_bytes = (cache_mib as u64) << 20;
            options.engine.max_sequences = sequences;
        }
        let exact = Arc::new(Exact::new(options));
        let mut engines =
            Self { registry: Arc::new(Registry::new()), exact, models: Vec::new(), servers: Vec::new() };
        for name in serve.iter().flat_map(|serve| &serve.models) {
            engines.add("serve.models", name, serve.map_or(Path::new(""), |serve| &serve.folder))?;
        }
        for upstream in serve.iter().flat_map(|serve| &serve.upstream) {
            engines.answer_by(upstream, serve.map_or(Path::new(""), |serve| &serve.folder))?;
        }
        for name in gateway.iter().flat_map(|gateway| &gateway.serve) {
            engines.add("gateway.serve", name, gateway.map_or(Path::new(""), |gateway| &gateway.models))?;
        }
        Ok(engines)
    }

    /// Adds the models that hosts are paid for: their text becomes tokens here.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) fn for_lanes(&mut self, lanes: &LanesConfig, folder: &Path) -> Result<Vec<String>, Problem> {
        lanes.models.iter().map(|name| self.add("lanes.models", name, folder)).collect()
    }

    /// The engine itself.
    pub(crate) fn exact(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.exact) as Arc<dyn Engine>
    }

    /// Lets all models be asked for that are not yet; those of `paid` by way of that engine, which pays for them.
    ///
    /// # Errors
    /// If a name is taken.
    pub(crate) async fn publish(
        &self,
        gateway: Option<&GatewayConfig>,
        paid: Option<(Arc<dyn Engine>, &[String])>,
    ) -> Result<(), Problem> {
        let told = |error: &dyn std::fmt::Display| Problem::told("invalid_config", error);
        let exact = self.exact();
        for name in self.models.iter().map(Package::name) {
            let server = self.servers.iter().find(|(served, _)| served == name).map(|(_, server)| server);
            let engine = match &paid {
                Some((engine, names)) if names.iter().any(|paid| paid == name) => engine,
                _ => server.unwrap_or(&exact),
            };
            self.registry.add(name, Arc::clone(engine), name).map_err(|error| told(&error))?;
        }
        for upstream in gateway.iter().flat_map(|gateway| &gateway.upstream) {
            let server = Upstream::new(upstream_options(upstream)?).map_err(|error| told(&error))?;
            self.registry.add_engine(Arc::new(server)).await.map_err(|error| told(&error))?;
        }
        Ok(())
    }

    /// What a host serves, with roots: the models of `serve`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) fn served(&mut self, serve: &ServeConfig) -> Result<Vec<(String, Digest)>, Problem> {
        let names: Vec<String> = serve
            .models
            .iter()
            .map(|name| self.add("serve.models", name, &serve.folder))
            .collect::<Result<_, _>>()?;
        let served = self.models.iter().filter(|model| names.iter().any(|name| name == model.name()));
        Ok(served.map(|model| (model.name().to_owned(), model.root().0)).collect())
    }

    /// Who says how likely the tokens of models are whose answers come from servers: the package here.
    pub(crate) fn scorers(&self) -> Vec<(Digest, Arc<dyn Engine>, String)> {
        let scored =
            self.models.iter().filter(|model| self.servers.iter().any(|(name, _)| name == model.name()));
        scored.map(|model| (model.root().0, self.exact(), model.name().to_owned())).collect()
    }

    /// Lets a server answer for models whose packages are here.
    fn answer_by(&mut self, config: &UpstreamConfig, folder: &Path) -> Result<(), Problem> {
        let told = |error: &dyn std::fmt::Display| {
            Problem::told("invalid_config", format!("serve.upstream: {error}"))
                .or_hint("correct the section [[serve.upstream]] of the configuration")
        };
        // One connection, whatever a model is called in the configuration: by its root, or by its name.
        let mut options = upstream_options(config)?;
        for (ours, _) in &mut options.models {
            *ours = self.add("serve.upstream", ours, folder)?;
        }
        let names: Vec<String> = options.models.iter().map(|(ours, _)| ours.clone()).collect();
        let upstream = Arc::new(Upstream::new(options).map_err(|error| told(&error))?);
        for name in names {
            let Some(package) = self.models.iter().find(|model| model.name() == name) else { continue };
            let server = TokenServer::new(Arc::clone(&upstream), &name, TextAssets::of_package(package));
            self.servers.push((name, Arc::new(server.map_err(|error| told(&error.message))?)));
        }
        Ok(())
    }

    /// Adds to every model a coarser one, for a host that cheats with it.
    ///
    /// # Errors
    /// If there can be none.
    pub(crate) fn coarsen(&mut self) -> Result<(), Problem> {
        for model in self.models.clone() {
            let told = |error: &dyn std::fmt::Display| Problem::told("invalid_config", error);
            let coarse = freeway_models::synthetic::coarser(&model).map_err(|error| told(&error))?;
            let name = format!("{}{COARSE}", model.name());
            self.exact.add(&name, coarse).map_err(|error| told(&error))?;
            self.registry.add(&name, self.exact(), &name).map_err(|error| told(&error))?;
        }
        Ok(())
    }

    /// Adds a model, unless it is there; its name.
    fn add(&mut self, section: &str, name: &str, folder: &Path) -> Result<String, Problem> {
        let known = |model: &&Package| model.name() == name || model.root().to_string() == name;
        if let Some(known) = self.models.iter().find(known) {
            return Ok(known.name().to_owned());
        }
        let package = package(section, name, folder)?;
        let name = package.name().to_owned();
        if let Some(known) = self.models.iter().find(|known| known.name() == name) {
            if known.root() == package.root() {
                return Ok(name);
            }
            let message = format!("{section}: there are two models of the name {name}");
            return Err(Problem::new("invalid_config", message).hint("remove one of them"));
        }
        self.exact
            .add(&name, package.clone())
            .map_err(|error| Problem::told("invalid_config", format!("{section}: {error}")))?;
        self.models.push(package);
        Ok(name)
    }
}

/// A package of this machine: the built-in one, or one of the folder.
fn package(section: &str, name: &str, folder: &Path) -> Result<Package, Problem> {
    let guide = guide::package();
    if name == guide.name() || name == guide.root().to_string() {
        return Ok(guide);
    }
    let unknown = |error: &dyn std::fmt::Display| {
        Problem::told("unknown_model", format!("{section}: {error}"))
            .or_hint("`freeway model list` shows the models of this machine")
    };
    let library = Library::open(folder).map_err(|error| unknown(&error))?;
    let entry = library.find(name).map_err(|error| unknown(&error))?;
    library.load(&entry).map_err(|error| unknown(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_model_is_loaded_once_for_all_who_use_it() {
        let serve = ServeConfig::default();
        let guide = guide::package();
        let mut engines = Engines::new(None, Some(&serve)).unwrap();
        assert_eq!(engines.served(&serve).unwrap(), [("guide".to_owned(), guide.root().0)]);
        let by_root = ServeConfig { models: vec![guide.root().to_string()], ..ServeConfig::default() };
        assert_eq!(engines.served(&by_root).unwrap().len(), 1);
        engines.publish(None, None).await.unwrap();
        assert!(engines.registry.resolve("guide").is_ok());
        assert!(engines.scorers().is_empty());
        let nobody = ServeConfig { models: vec!["nobody".into()], ..ServeConfig::default() };
        let problem = Engines::new(None, Some(&nobody)).err().unwrap();
        assert!(problem.message().contains("serve.models"), "{problem}");
    }

    #[tokio::test]
    async fn a_server_answers_and_the_package_scores() {
        let root = guide::package().root();
        let upstream = UpstreamConfig {
            url: "http://127.0.0.1:1/v1".into(),
            key_file: None,
            models: [(root.to_string(), "theirs".to_owned())].into(),
        };
        let serve = ServeConfig {
            models: vec![root.to_string()],
            upstream: vec![upstream],
            ..ServeConfig::default()
        };
        serve.check().unwrap();
        let engines = Engines::new(None, Some(&serve)).unwrap();
        engines.publish(None, None).await.unwrap();
        let answers = engines.registry.resolve("guide").unwrap().engine.capabilities("guide").unwrap();
        assert!(answers.takes_tokens && !answers.exact);
        let scorers = engines.scorers();
        let (model, scorer, name) = &scorers[0];
        assert_eq!((*model, name.as_str()), (root.0, "guide"));
        assert!(scorer.capabilities(name).unwrap().exact);
    }
}
