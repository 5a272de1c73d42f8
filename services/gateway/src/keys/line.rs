//! Keys as a file has them: one `NAME KEY` a line, and after that what the key may do.

use core::str::FromStr;

use freeway_primitives::Amount;

use super::{Key, KeyError, KeySet, Terms};

/// Names of models on a line.
const MAX_MODELS: usize = 256;

/// Why a line of a file of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyLineError {
    /// It has one word.
    #[error("there is no key; write `NAME KEY`")]
    NoKey,
    /// The key or its name is wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is no field.
    #[error(
        "{0:?} is no field of a key; there are budget=10FWY, rate=60/min, tokens=100000/min, concurrency=4 and \
         models=NAME,NAME"
    )]
    Field(String),
    /// A field has no such value.
    #[error("{0}; write for example {1}")]
    Value(String, &'static str),
    /// A field comes twice.
    #[error("{0} stands there twice; leave one out")]
    Twice(&'static str),
}

fn put<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), KeyLineError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(KeyLineError::Twice(name)),
    }
}

/// A number that is at least one.
fn number(name: &str, text: &str, like: &'static str) -> Result<u32, KeyLineError> {
    let wrong = || {
        KeyLineError::Value(format!("{name}={} is not a number from 1 on", crate::error::shown(text)), like)
    };
    u32::from_str(text).ok().filter(|&number| number > 0).ok_or_else(wrong)
}

impl Terms {
    /// Reads one `NAME=VALUE`.
    fn field(&mut self, word: &str) -> Result<(), KeyLineError> {
        let unknown = || KeyLineError::Field(crate::error::shown(word));
        let (name, value) = word.split_once('=').ok_or_else(unknown)?;
        let minute = |like| number(name, value.strip_suffix("/min").unwrap_or(value), like);
        match name {
            "budget" => {
                let amount = value.parse::<Amount>();
                let amount =
                    amount.map_err(|error| KeyLineError::Value(error.to_string(), "budget=10FWY"))?;
                put(&mut self.budget, "budget", amount)
            }
            "rate" => put(&mut self.allowance.requests_per_minute, "rate", minute("rate=60/min")?),
            "tokens" => put(&mut self.allowance.tokens_per_minute, "tokens", minute("tokens=100000/min")?),
            "concurrency" => {
                put(&mut self.allowance.concurrency, "concurrency", number(name, value, "concurrency=4")?)
            }
            "models" => {
                let models: std::collections::BTreeSet<String> =
                    value.split(',').map(str::to_owned).collect();
                if models.len() > MAX_MODELS || models.iter().any(String::is_empty) {
                    let problem = format!("models= names from 1 to {MAX_MODELS} models");
                    return Err(KeyLineError::Value(problem, "models=guide,other"));
                }
                put(&mut self.models, "models", models)
            }
            _ => Err(unknown()),
        }
    }
}

impl KeySet {
    /// Adds the key of a line `NAME KEY`, with what it may do: `budget=10FWY rate=60/min tokens=100000/min
    /// concurrency=4 models=guide,other`, each of which may be absent.
    ///
    /// # Errors
    /// If the line is no such line, or the key cannot be added.
    pub fn add_line(&mut self, line: &str) -> Result<(), KeyLineError> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(key)) = (words.next(), words.next()) else { return Err(KeyLineError::NoKey) };
        let key = Key::parse(key)?;
        let mut terms = Terms::default();
        words.try_for_each(|word| terms.field(word))?;
        Ok(self.add_with(name, key.hash(), terms)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_keys() {
        let mut keys = KeySet::new();
        keys.add_line("a fw-0123456789abcdef").expect("plain");
        assert!(!keys.has_budgets());
        let line =
            "b\tfw-0123456789abcdeg budget=1.5FWY rate=60/min tokens=9 concurrency=4 models=guide,org/m";
        keys.add_line(line).expect("with everything");
        assert!(keys.has_budgets());
        let terms = &keys.0[1].terms;
        assert_eq!(terms.budget, Some(Amount(1_500_000_000)));
        let allowance = terms.allowance;
        assert_eq!(
            (allowance.requests_per_minute, allowance.tokens_per_minute, allowance.concurrency),
            (Some(60), Some(9), Some(4))
        );
        assert!(terms.models.as_ref().is_some_and(|models| models.contains("org/m") && models.len() == 2));
        for (line, told) in [
            ("c", "there is no key"),
            ("c sk-0123456789abcdef01", "a key is"),
            ("a fw-0123456789abcdeh", "that name"),
            ("c fw-0123456789abcdeh bugdet=1", "is no field"),
            ("c fw-0123456789abcdeh free", "is no field"),
            ("c fw-0123456789abcdeh budget=lots", "budget=10FWY"),
            ("c fw-0123456789abcdeh rate=0/min", "rate=60/min"),
            ("c fw-0123456789abcdeh rate=1/hour", "rate=60/min"),
            ("c fw-0123456789abcdeh rate=1 rate=2", "twice"),
            ("c fw-0123456789abcdeh models=a,,b", "models=guide,other"),
        ] {
            let error = keys.add_line(line).expect_err(line).to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
