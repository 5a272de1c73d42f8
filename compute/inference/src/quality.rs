//! Quality: how near an exact model is to the float model it was packed from.
//!
//! Both predict the same text. Told are the perplexity of each, and how often both hold the same token for the most
//! likely one. The float model is computed in the plainest way, and only here: floats and the library's exponential decide
//! nothing that is served.

mod reference;

use freeway_models::{Config, Source, SourceError};

use crate::model::Model;
use crate::request::{Refused, check_tokens};

pub use reference::logits as float_logits;

/// The most tokens that are read with one another before them; a longer text is read in parts.
pub const WINDOW: usize = 512;

/// Bits after the point of fixed logits.
const LOGIT_ONE: f64 = 65_536.0;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Tokens that were predicted.
    pub tokens: usize,
    /// Perplexity of the float model.
    pub perplexity_float: f64,
    /// Perplexity of the exact model.
    pub perplexity_exact: f64,
    /// The part of the tokens, from 0 to 1, at which both hold the same token for the most likely.
    pub top1_agreement: f64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum QualityError {
    /// The float model cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The text is no text of the model.
    #[error(transparent)]
    Text(#[from] Refused),
    /// The text is too short.
    #[error("the text has {0} tokens; two are needed to predict one")]
    Short(usize),
    /// They are not the same model.
    #[error("the float model is another one than the package was made from: {0} differs")]
    Other(&'static str),
}

/// Compares `model` with its `source` on a text.
///
/// # Errors
/// If the source cannot be read or is another model, or the text is too short or none of this model.
pub fn report(source: &Source, model: &Model, tokens: &[u32]) -> Result<Report, QualityError> {
    same(source.config(), model.config())?;
    if tokens.len() < 2 {
        return Err(QualityError::Short(tokens.len()));
    }
    let length = WINDOW.min(model.config().context());
    // A last window of one token predicts nothing.
    let windows: Vec<&[u32]> = tokens.chunks(length).filter(|window| window.len() > 1).collect();
    for window in &windows {
        check_tokens("text", window, model.config().vocabulary).map_err(Refused::from)?;
    }
    let (mut float, mut exact) = (Sum::default(), Sum::default());
    reference::logits(source, model.pool(), &windows, |window, position, logits| {
        float.add(logits.iter().map(|logit| f64::from(*logit)), windows[window].get(position + 1));
    })?;
    for window in &windows {
        let mut position = 0;
        model.walk(window, false, |forward, rows| {
            for row in rows {
                let logits = forward.logits(model, &[row]);
                exact.add(logits.iter().map(|logit| f64::from(*logit) / LOGIT_ONE), window.get(position + 1));
                position += 1;
            }
        });
    }
    let same = float.best.iter().zip(&exact.best).filter(|(float, exact)| float == exact).count();
    let count = float.best.len();
    Ok(Report {
        tokens: count,
        perplexity_float: (float.surprise / count as f64).exp(),
        perplexity_exact: (exact.surprise / count as f64).exp(),
        top1_agreement: same as f64 / count as f64,
    })
}

/// How one model did so far.
#[derive(Default)]
struct Sum {
    /// In nats.
    surprise: f64,
    /// The most likely token at each position.
    best: Vec<usize>,
}

impl Sum {
    /// The logits of a position, and which token followed, if one did.
    fn add(&mut self, logits: impl Iterator<Item = f64> + Clone, token: Option<&u32>) {
        let Some(token) = token else { return };
        let (mut best, mut largest, mut own) = (0, f64::NEG_INFINITY, 0.0);
        for (id, logit) in logits.clone().enumerate() {
            if logit > largest {
                (best, largest) = (id, logit);
            }
            if id == *token as usize {
                own = logit;
            }
        }
        let sum: f64 = logits.map(|logit| (logit - largest).exp()).sum();
        self.surprise += sum.ln() + largest - own;
        self.best.push(best);
    }
}

/// Checks that both are of the same dimensions.
fn same(float: &Config, exact: &Config) -> Result<(), QualityError> {
    let pairs = [
        ("the vocabulary", float.vocabulary, exact.vocabulary),
        ("the width", float.width, exact.width),
        ("the number of layers", float.layers, exact.layers),
        ("the number of heads", float.heads, exact.heads),
        ("the number of key heads", float.kv_heads, exact.kv_heads),
        ("the size of heads", float.head, exact.head),
        ("the hidden width", float.hidden, exact.hidden),
    ];
    match pairs.into_iter().find(|(_, float, exact)| float != exact) {
        Some((name, _, _)) => Err(QualityError::Other(name)),
        None => Ok(()),
    }
}
