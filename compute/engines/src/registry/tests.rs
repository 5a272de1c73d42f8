//! Names, aliases, and engines that come and go.

use async_trait::async_trait;

use super::*;
use crate::{Capabilities, ErrorKind, Health, Tier};

struct Named(&'static [&'static str]);

#[async_trait]
impl Engine for Named {
    fn label(&self) -> &str {
        "named"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        if self.0.is_empty() {
            return Err(EngineError::new(ErrorKind::Unavailable, "gone"));
        }
        let info = |name: &&str| ModelInfo {
            name: (*name).to_owned(),
            root: None,
            context: None,
            tier: Tier::Statistical,
            owned_by: "test".to_owned(),
            created: 0,
        };
        Ok(self.0.iter().map(info).collect())
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        self.0.contains(&model).then(Capabilities::default)
    }

    async fn health(&self) -> Health {
        Health { ok: true, detail: String::new() }
    }

    fn stats(&self) -> Stats {
        Stats { requests: 1, ..Stats::default() }
    }
}

fn names(models: &[ModelInfo]) -> Vec<&str> {
    models.iter().map(|info| info.name.as_str()).collect()
}

#[tokio::test]
async fn routes_and_aliases() {
    let registry = Registry::new();
    let first: Arc<dyn Engine> = Arc::new(Named(&["b", "a"]));
    assert_eq!(registry.add_engine(Arc::clone(&first)).await.unwrap(), ["b", "a"]);
    registry.add("c", Arc::new(Named(&["x"])), "x").unwrap();
    registry.alias("gpt", "a").unwrap();
    let route = registry.resolve("gpt").unwrap();
    assert_eq!((route.name.as_str(), route.theirs.as_str()), ("a", "a"));
    assert_eq!(registry.resolve("c").unwrap().theirs, "x");
    assert_eq!(names(&registry.models().await), ["a", "b", "c", "gpt"]);
    assert_eq!((registry.engines().len(), registry.stats().requests), (2, 2));

    assert!(matches!(registry.alias("b", "a"), Err(RegistryError::Taken(_))));
    assert!(matches!(registry.alias("other", "gpt"), Err(RegistryError::NoModel(_))));
    assert!(matches!(registry.add("", Arc::clone(&first), "a"), Err(RegistryError::BadName(_))));
    assert!(matches!(registry.add("a b", Arc::clone(&first), "a"), Err(RegistryError::BadName(_))));
    assert!(matches!(registry.add("gpt", Arc::clone(&first), "a"), Err(RegistryError::Taken(_))));

    assert!(registry.remove("a"));
    assert!(!registry.remove("a"));
    let error = registry.resolve("gpt").unwrap_err();
    assert_eq!((error.kind, error.status()), (ErrorKind::UnknownModel, 404));
    assert_eq!(names(&registry.models().await), ["b", "c"]);
}

#[tokio::test]
async fn all_or_nothing() {
    let registry = Registry::new();
    registry.add("y", Arc::new(Named(&["y"])), "y").unwrap();
    for broken in [&["x", "y"] as &'static [&'static str], &["x", "x"], &[]] {
        assert!(registry.add_engine(Arc::new(Named(broken))).await.is_err());
        assert_eq!(names(&registry.models().await), ["y"]);
    }
    // An engine that does not answer now is not listed; its route stays.
    registry.add("z", Arc::new(Named(&[])), "z").unwrap();
    assert_eq!(names(&registry.models().await), ["y"]);
    assert!(registry.resolve("z").is_ok());
}
