//! Which addresses may be connected to: see [`freeway_api::reach`].

pub(crate) use freeway_api::reach::is_allowed;
