//! `/v1/models`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use freeway_engines::{EngineError, ModelInfo, Tier};

use super::Server;
use super::guard::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::wire::answers::{Model, ModelFacts, ModelList};

fn view(info: ModelInfo) -> Model {
    let tier = match info.tier {
        Tier::Exact => "exact",
        Tier::Statistical => "statistical",
    };
    Model {
        id: info.name,
        object: "model",
        created: info.created,
        owned_by: info.owned_by,
        freeway: ModelFacts { root: info.root.map(|root| root.to_string()), context: info.context, tier },
    }
}

/// The models there are, as far as the caller may ask them.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses(
    (status = 200, description = "The models.", body = ModelList),
    (status = "4XX", description = "The request is wrong, or too many are sent.", body = ErrorBody),
    (status = "5XX", description = "The gateway cannot answer now.", body = ErrorBody),
))]
pub(super) async fn list(State(server): State<Arc<Server>>, caller: Caller) -> Json<ModelList> {
    let models = server.engines.models().await.into_iter();
    let data = models.filter(|info| caller.allows(&info.name)).map(view).collect();
    Json(ModelList { object: "list", data })
}

/// A model. Its name may contain slashes.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "models",
    params(("model" = String, Path, description = "The model's name.")),
    responses(
        (status = 200, description = "The model.", body = Model),
        (status = "4XX", description = "There is no such model, or too many requests are sent.", body = ErrorBody),
        (status = "5XX", description = "The gateway cannot answer now.", body = ErrorBody),
    ))]
pub(super) async fn model(
    State(server): State<Arc<Server>>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::field("model", error.body_text()))?;
    let found =
        server.engines.models().await.into_iter().find(|info| info.name == name && caller.allows(&name));
    found.map(|info| Json(view(info))).ok_or_else(|| EngineError::unknown_model(&name).into())
}
