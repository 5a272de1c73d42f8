//! Which engine serves which model.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::join_all;

use crate::error::shown;
use crate::{Engine, EngineError, ModelInfo, Stats};

/// The longest name.
const MAX_NAME_BYTES: usize = 256;
/// The most names and aliases together.
const MAX_NAMES: usize = 10_000;

/// Why a name cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The name is taken.
    #[error("there is a model or an alias named {0:?} already; remove it first, or choose another name")]
    Taken(String),
    /// The name is no name.
    #[error(
        "{0:?} cannot be a model's name: it must have 1 to 256 bytes and no blanks or control characters at its ends or within"
    )]
    BadName(String),
    /// An alias must stand for a model.
    #[error("an alias must stand for a model, and there is none named {0:?}")]
    NoModel(String),
    /// There are too many.
    #[error("there are {MAX_NAMES} names already; remove some first")]
    TooMany,
    /// The engine does not tell its models.
    #[error("the engine does not tell its models: {0}")]
    Engine(#[from] EngineError),
}

/// Where requests for a model go.
#[derive(Clone)]
pub struct Route {
    /// The model's name here, which an alias stands for.
    pub name: String,
    /// Who serves it.
    pub engine: Arc<dyn Engine>,
    /// The engine's own name of it.
    pub theirs: String,
}

impl core::fmt::Debug for Route {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.name)
            .field("engine", &self.engine.label())
            .field("theirs", &self.theirs)
            .finish()
    }
}

/// Names of models and the engines that serve them. Changes while it is in use; requests that are under way keep
/// their engine.
#[derive(Default)]
pub struct Registry {
    names: RwLock<Names>,
}

#[derive(Default)]
struct Names {
    routes: BTreeMap<String, Route>,
    aliases: BTreeMap<String, String>,
}

impl Names {
    fn free(&self, name: &str) -> Result<(), RegistryError> {
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
        if !fits || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(RegistryError::BadName(shown(name)));
        }
        if self.routes.contains_key(name) || self.aliases.contains_key(name) {
            return Err(RegistryError::Taken(shown(name)));
        }
        if self.routes.len() + self.aliases.len() >= MAX_NAMES {
            return Err(RegistryError::TooMany);
        }
        Ok(())
    }
}

impl Registry {
    /// Without any model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves the engine's model `theirs` under `name`.
    ///
    /// # Errors
    /// If the name is taken or is none.
    pub fn add(&self, name: &str, engine: Arc<dyn Engine>, theirs: &str) -> Result<(), RegistryError> {
        let mut names = self.write();
        names.free(name)?;
        let route = Route { name: name.to_owned(), engine, theirs: theirs.to_owned() };
        names.routes.insert(name.to_owned(), route);
        Ok(())
    }

    /// Serves all models of an engine under the engine's names: all, or none if one of the names is taken. Gives
    /// the names.
    ///
    /// # Errors
    /// If the engine does not tell its models, or a name is taken or is none.
    pub async fn add_engine(&self, engine: Arc<dyn Engine>) -> Result<Vec<String>, RegistryError> {
        let listed: Vec<String> = engine.models().await?.into_iter().map(|info| info.name).collect();
        let mut names = self.write();
        for (index, name) in listed.iter().enumerate() {
            names.free(name)?;
            if listed[..index].contains(name) {
                return Err(RegistryError::Taken(shown(name)));
            }
        }
        for name in &listed {
            let route = Route { name: name.clone(), engine: Arc::clone(&engine), theirs: name.clone() };
            names.routes.insert(name.clone(), route);
        }
        Ok(listed)
    }

    /// Lets `alias` stand for the model `name`.
    ///
    /// # Errors
    /// If the alias is taken or is no name, or there is no such model.
    pub fn alias(&self, alias: &str, name: &str) -> Result<(), RegistryError> {
        let mut names = self.write();
        names.free(alias)?;
        if !names.routes.contains_key(name) {
            return Err(RegistryError::NoModel(shown(name)));
        }
        names.aliases.insert(alias.to_owned(), name.to_owned());
        Ok(())
    }

    /// Takes a model with its aliases, or an alias, away. Requests that are under way go on. Gives whether there was
    /// one.
    pub fn remove(&self, name: &str) -> bool {
        let mut names = self.write();
        if names.aliases.remove(name).is_some() {
            return true;
        }
        names.aliases.retain(|_, model| model != name);
        names.routes.remove(name).is_some()
    }

    /// Where requests for `name`, a model or an alias, go.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownModel`](crate::ErrorKind::UnknownModel) if there is none.
    pub fn resolve(&self, name: &str) -> Result<Route, EngineError> {
        let names = self.read();
        let model = names.aliases.get(name).map_or(name, String::as_str);
        names.routes.get(model).cloned().ok_or_else(|| EngineError::unknown_model(name))
    }

    /// All models and aliases under the names they are asked for, sorted. A model whose engine does not answer now
    /// is not among them.
    pub async fn models(&self) -> Vec<ModelInfo> {
        let (routes, aliases) = {
            let names = self.read();
            (names.routes.values().cloned().collect::<Vec<_>>(), names.aliases.clone())
        };
        let engines = distinct(routes.iter().map(|route| &route.engine));
        let lists = join_all(engines.iter().map(|engine| engine.models())).await;
        let mut found = BTreeMap::new();
        for route in routes {
            let at = engines.iter().position(|engine| Arc::ptr_eq(engine, &route.engine));
            let Some(Ok(list)) = at.map(|at| &lists[at]) else { continue };
            let Some(info) = list.iter().find(|info| info.name == route.theirs) else { continue };
            found.insert(route.name.clone(), ModelInfo { name: route.name, ..info.clone() });
        }
        for (alias, name) in aliases {
            if let Some(info) = found.get(&name).cloned() {
                found.insert(alias.clone(), ModelInfo { name: alias, ..info });
            }
        }
        found.into_values().collect()
    }

    /// The engines, each once.
    pub fn engines(&self) -> Vec<Arc<dyn Engine>> {
        distinct(self.read().routes.values().map(|route| &route.engine))
    }

    /// What all engines together have done.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for engine in self.engines() {
            sum += engine.stats();
        }
        sum
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl core::fmt::Debug for Registry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = self.read();
        f.debug_struct("Registry").field("models", &names.routes).field("aliases", &names.aliases).finish()
    }
}

fn distinct<'a>(engines: impl Iterator<Item = &'a Arc<dyn Engine>>) -> Vec<Arc<dyn Engine>> {
    let mut found: Vec<Arc<dyn Engine>> = Vec::new();
    for engine in engines {
        if !found.iter().any(|known| Arc::ptr_eq(known, engine)) {
            found.push(Arc::clone(engine));
        }
    }
    found
}

#[cfg(test)]
mod tests;
