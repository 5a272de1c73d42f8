//! What the configuration files may contain, as a schema made from the structs: for the reference in the documentation.

use serde_json::Value;
use utoipa::OpenApi;

use super::{GatewayFile, NodeConfig};

#[derive(OpenApi)]
#[openapi(components(schemas(NodeConfig, GatewayFile)))]
struct Files;

/// The schemas of [`NodeConfig`], [`GatewayFile`] and all that they contain, by their names.
pub fn schemas() -> Value {
    // A tree of strings always serialises.
    let mut document = serde_json::to_value(Files::openapi()).unwrap_or_default();
    document["components"]["schemas"].take()
}
