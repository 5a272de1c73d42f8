//! The tokenizers and templates that were loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use freeway_engines::Route;
use freeway_requests::ModelRoot;
use tokio::sync::OnceCell;

use super::TextModel;
use crate::error::ApiError;

/// Models whose text is kept ready; a large vocabulary takes some 50 MB.
const MAX_KEPT: usize = 32;

type Cell = Arc<OnceCell<Arc<TextModel>>>;

/// Text by model. Loading happens once, beside the threads that answer.
#[derive(Default)]
pub(crate) struct Texts {
    kept: Mutex<BTreeMap<ModelRoot, Cell>>,
}

impl Texts {
    /// What is needed to talk with the model of `route`.
    pub(crate) async fn get(&self, route: &Route) -> Result<Arc<TextModel>, ApiError> {
        let assets = route.engine.text(&route.theirs).await?;
        let cell = self.cell(assets.root);
        let load = async || match tokio::task::spawn_blocking(move || TextModel::new(assets)).await {
            Ok(Ok(model)) => Ok(Arc::new(model)),
            Ok(Err(problem)) => {
                let message = format!("the model cannot be used: {problem}; pack it again");
                Err(ApiError::bad_request("unsupported", message).param("model"))
            }
            Err(_) => Err(ApiError::internal()),
        };
        cell.get_or_try_init(load).await.cloned()
    }

    fn cell(&self, root: ModelRoot) -> Cell {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT && !kept.contains_key(&root) {
            // Whatever is in use lives on in its requests.
            kept.clear();
        }
        Arc::clone(kept.entry(root).or_default())
    }
}
