//! The life of a block as spans for a collector: what is done for one height, until it is committed.

use freeway_api::trace::TARGET;
use freeway_primitives::Height;
use tracing::Span;
use tracing::field::Empty;

/// The span of the height that is being decided.
#[derive(Debug)]
pub(super) struct Life {
    height: Height,
    span: Span,
}

impl Life {
    /// No height yet.
    pub(super) const fn none() -> Self {
        Self { height: Height::GENESIS, span: Span::none() }
    }

    /// The span of `height`: what is done for it is below it. That of another height ends.
    pub(super) fn of(&mut self, height: Height) -> Span {
        if self.height != height {
            let span = tracing::info_span!(
                target: TARGET,
                parent: None,
                "block",
                height = height.0,
                transactions = Empty,
                bytes = Empty,
                proposer = Empty
            );
            *self = Self { height, span };
        }
        self.span.clone()
    }

    /// The height is committed: its span ends.
    pub(super) fn end(&mut self) {
        self.span = Span::none();
    }
}
