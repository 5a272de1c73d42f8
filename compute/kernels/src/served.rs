//! Arithmetic of served models: grouped int8 weights, and f32 between products in a defined order.
//!
//! Every sum of products is an exact integer; floats are combined by single IEEE operations, in an order that is
//! written down, without contraction. Every backend gives the same bits as the scalar one, however many rows and
//! threads there are. The formulas stand at [`product`], [`Rows`], [`attention`] and the functions of rows.
//!
//! Values must be finite; packing a model proves that they are. (With others nothing breaks, but backends may
//! disagree about which NaN it is.)

mod attention;
mod matrix;
mod page;
mod product;
mod quantised;
mod rotation;
mod rowwise;

pub use attention::{Job, Queries, attention};
pub use matrix::{Matrix, MatrixError, OwnedMatrix, Shape, half_to_f32, pack_matrix};
pub use page::{MAX_HEAD, MAX_PAGES, PAGE_POSITIONS, Page};
pub use product::product;
pub use quantised::Rows;
pub use rotation::{rotate, sincos, sine};
pub use rowwise::{add, fixed_logits, norm, silu_gate};
