//! The section of the pages about the network.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most epochs of history.
const MAX_EPOCHS: u64 = 100_000;
/// The most blocks, transactions and events of history.
const MAX_ROWS: u64 = 50_000_000;
/// The most reference prices.
const MAX_REFERENCES: usize = 64;
/// Bytes of a text in a reference price.
const MAX_TEXT_BYTES: usize = 200;

/// The pages about the network, which the node serves beside its interface, and the history that they show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExplorerConfig {
    /// Whether there are pages. Without them nothing is kept for them either.
    pub enabled: bool,
    /// Epochs of history.
    pub history_epochs: u64,
    /// Blocks, transactions and events of history: so many rows of each at most, the oldest go first.
    pub history_rows: u64,
    /// The base URL of a gateway that the page *Try it* proposes, ending in `/v1`. The gateway must allow the page's
    /// origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// What others charge, to be shown beside the prices of this network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference_prices: Vec<ReferencePrice>,
}

impl Default for ExplorerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            history_epochs: 400,
            history_rows: 500_000,
            api: None,
            reference_prices: Vec::new(),
        }
    }
}

/// What somebody else charges for a million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferencePrice {
    /// Who, and for which model.
    pub name: String,
    /// Tokens of a prompt, with the currency: `0.15 USD`.
    pub input: String,
    /// Tokens that are generated, with the currency.
    pub output: String,
    /// Where that stands.
    pub source: String,
    /// When it stood there, as YYYY-MM-DD.
    pub date: String,
}

impl ExplorerConfig {
    /// What makes no sense, in words.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_EPOCHS).contains(&self.history_epochs) {
            return Err(format!("explorer.history_epochs must be from 1 to {MAX_EPOCHS}"));
        }
        if !(1_000..=MAX_ROWS).contains(&self.history_rows) {
            return Err(format!("explorer.history_rows must be from 1000 to {MAX_ROWS}"));
        }
        let is_url = |url: &String| {
            url.len() <= MAX_TEXT_BYTES && (url.starts_with("http://") || url.starts_with("https://"))
        };
        if !self.api.as_ref().is_none_or(is_url) {
            return Err("explorer.api must be an http:// or https:// URL of at most 200 bytes".into());
        }
        if self.reference_prices.len() > MAX_REFERENCES {
            return Err(format!("explorer.reference_prices: at most {MAX_REFERENCES}"));
        }
        for ReferencePrice { name, input, output, source, date } in &self.reference_prices {
            let texts = [name, input, output, source, date];
            if texts.iter().any(|text| text.is_empty() || text.len() > MAX_TEXT_BYTES) {
                return Err(format!(
                    "explorer.reference_prices: {name:?} has a text that is empty or longer than {MAX_TEXT_BYTES} bytes"
                ));
            }
            if !is_date(date) {
                return Err(format!(
                    "explorer.reference_prices: {name:?} has the date {date:?}; write it as YYYY-MM-DD"
                ));
            }
        }
        Ok(())
    }
}

fn is_date(text: &str) -> bool {
    let digit_or_dash = |(index, byte): (usize, u8)| {
        if index == 4 || index == 7 { byte == b'-' } else { byte.is_ascii_digit() }
    };
    text.len() == 10 && text.bytes().enumerate().all(digit_or_dash)
}
