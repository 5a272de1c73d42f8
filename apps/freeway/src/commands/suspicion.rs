//! Suspicions in words.

use freeway_requests::evidence::Suspicion;

/// Its name for programs.
pub(super) const fn name(suspicion: Suspicion) -> &'static str {
    match suspicion {
        Suspicion::Surprising => "surprising",
        Suspicion::Predictable => "predictable",
        Suspicion::Missed => "missed",
        Suspicion::Forged => "forged",
    }
}

/// What is wrong then.
pub(super) const fn words(suspicion: Suspicion) -> &'static str {
    match suspicion {
        Suspicion::Surprising => "the tokens surprise the model more than its own would",
        Suspicion::Predictable => "the tokens were not drawn as they were to be",
        Suspicion::Missed => "the model would not choose these tokens",
        Suspicion::Forged => "what is said of their likelihood is not so",
    }
}
