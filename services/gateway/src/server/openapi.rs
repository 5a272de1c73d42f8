//! The description of the interface, made from the code.

use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use super::{chat, completions, embeddings, models, receipts, status};
use crate::wire::answers::ChatChunk;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Freeway gateway",
        description = "The OpenAI interface to the models of Freeway. Unknown fields of requests are ignored and null is as \
                       good as absent. Every error names the field that is wrong in `param`. Answers of exact models carry \
                       `freeway`: what is needed to compute them again, bit for bit."
    ),
    paths(
        chat::chat,
        completions::completions,
        completions::tokenize,
        embeddings::embeddings,
        models::list,
        models::model,
        receipts::list,
        receipts::receipt,
        receipts::lanes,
        status::health,
        status::metrics,
        status::openapi,
    ),
    components(schemas(ChatChunk<'static>))
)]
struct Description;

/// The description of the interface of a gateway with or without keys.
pub fn openapi(keys: bool) -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    if keys {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("key", scheme);
        document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    }
    document
}
