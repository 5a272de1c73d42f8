//! What a block of a pass limits, as Datalog and back.

use core::fmt::Write;
use std::collections::BTreeSet;

use freeway_primitives::Amount;

use super::date;

/// Names of models in a block.
const MAX_MODELS: usize = 64;
/// Bytes of the name of a model.
const MAX_MODEL_BYTES: usize = 96;
/// Bytes of a label.
const MAX_NAME_BYTES: usize = 64;
/// Numbers of biscuits are signed.
const MAX_NUMBER: u128 = i64::MAX as u128;

/// Why limits make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The first block has no end.
    #[error("a pass needs an end; say until when it may be used")]
    NoEnd,
    /// Nothing is limited.
    #[error("nothing is limited; give a budget, models, an end, a rate or a name")]
    Nothing,
    /// A number is too large.
    #[error("{0} is too large; the most is {1}")]
    TooLarge(&'static str, String),
    /// A name cannot be used.
    #[error(
        "{0:?} cannot be a name here; use 1 to {1} of the characters A-Z a-z 0-9 - _ . / : @ + and space"
    )]
    Name(String, usize),
    /// The models are none, or too many.
    #[error("name 1 to {MAX_MODELS} models")]
    Models,
    /// Only the owner names the network.
    #[error("only the owner of a pass can bind it to a network; leave the network out")]
    Network,
    /// It would be wider than before.
    #[error("{what} would be wider than what the pass has, which is {has}; ask for no more than that")]
    Wider {
        /// Which limit.
        what: &'static str,
        /// What there is.
        has: String,
    },
}

/// What a pass, or one block of it, allows. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What it is for, for people.
    pub name: Option<String>,
    /// What may be spent in all. A pass whose blocks have no budget spends nothing.
    pub budget: Option<Amount>,
    /// The models that may be asked.
    pub models: Option<BTreeSet<String>>,
    /// The last second of its use, since 1970.
    pub expires: Option<u64>,
    /// Requests a minute.
    pub rate: Option<u32>,
    /// The network whose money it spends, if the owner bound it to one.
    pub network: Option<String>,
}

fn fits(text: &str, most: usize) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@+ ".contains(&byte);
    !text.is_empty() && text.len() <= most && text.bytes().all(good)
}

impl Limits {
    /// Whether they can stand in a block; in the `first` there must be an end, or what was spent would have to be
    /// remembered for ever.
    pub(super) fn check(&self, first: bool) -> Result<(), LimitsError> {
        if *self == Self::default() {
            return Err(LimitsError::Nothing);
        }
        if first && self.expires.is_none() {
            return Err(LimitsError::NoEnd);
        }
        if !first && self.network.is_some() {
            return Err(LimitsError::Network);
        }
        if self.budget.is_some_and(|budget| budget.0 > MAX_NUMBER) {
            return Err(LimitsError::TooLarge("the budget", Amount(MAX_NUMBER).to_string()));
        }
        if self.expires.is_some_and(|expires| expires > date::LAST) {
            return Err(LimitsError::TooLarge("the end", date::write(date::LAST)));
        }
        for name in self.name.iter().chain(&self.network) {
            if !fits(name, MAX_NAME_BYTES) {
                return Err(LimitsError::Name(crate::error::shown(name), MAX_NAME_BYTES));
            }
        }
        let Some(models) = &self.models else { return Ok(()) };
        if models.is_empty() || models.len() > MAX_MODELS {
            return Err(LimitsError::Models);
        }
        match models.iter().find(|name| !fits(name, MAX_MODEL_BYTES)) {
            Some(name) => Err(LimitsError::Name(crate::error::shown(name), MAX_MODEL_BYTES)),
            None => Ok(()),
        }
    }

    /// Refuses what would be without effect beside `parent`.
    pub(super) fn narrower_than(&self, parent: &Self) -> Result<(), LimitsError> {
        fn wider<T: PartialOrd + Copy>(own: Option<T>, parent: Option<T>) -> Option<T> {
            parent.filter(|parent| own.is_some_and(|own| own > *parent))
        }
        let fail = |what, has: String| Err(LimitsError::Wider { what, has });
        if let Some(has) = wider(self.budget, parent.budget) {
            return fail("the budget", has.to_string());
        }
        if let Some(has) = wider(self.expires, parent.expires) {
            return fail("the end", date::write(has));
        }
        if let Some(has) = wider(self.rate, parent.rate) {
            return fail("the rate", format!("{has} requests a minute"));
        }
        match (&self.models, &parent.models) {
            (Some(own), Some(has)) if !own.is_subset(has) => {
                fail("the list of models", has.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            _ => Ok(()),
        }
    }

    /// Both together: of each the narrower. The name is the later one.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        fn least<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        let models = match (&self.models, &later.models) {
            (Some(one), Some(other)) => Some(one.intersection(other).cloned().collect()),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Self {
            name: later.name.clone().or_else(|| self.name.clone()),
            budget: least(self.budget, later.budget),
            models,
            expires: least(self.expires, later.expires),
            rate: least(self.rate, later.rate),
            network: self.network.clone().or_else(|| later.network.clone()),
        }
    }

    /// The end in words, such as `2026-01-31T23:59:59Z`.
    pub fn end(&self) -> Option<String> {
        self.expires.map(date::write)
    }

    /// Seconds since 1970 of a moment written as `2026-01-31T23:59:59Z`; `None` if it is none.
    pub fn moment(text: &str) -> Option<u64> {
        date::read(text)
    }

    /// As Datalog.
    pub(super) fn source(&self) -> String {
        let mut source = String::new();
        let mut say = |text: core::fmt::Arguments<'_>| {
            // Writing into a string does not fail.
            let _ = writeln!(source, "{text};");
        };
        if let Some(name) = &self.name {
            say(format_args!("name(\"{name}\")"));
        }
        if let Some(network) = &self.network {
            say(format_args!("network(\"{network}\")"));
        }
        if let Some(budget) = self.budget {
            say(format_args!("budget({})", budget.0));
        }
        if let Some(rate) = self.rate {
            say(format_args!("rate({rate})"));
        }
        if let Some(expires) = self.expires {
            say(format_args!("check if time($time), $time <= {}", date::write(expires)));
        }
        if let Some(models) = &self.models {
            let models = models.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            say(format_args!("check if model($model), {{{models}}}.contains($model)"));
        }
        source
    }

    /// From Datalog, which may have been written by a stranger. Each shape once, and nothing else.
    pub(super) fn read(source: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for line in source.lines() {
            let statement = line.strip_suffix(';').ok_or("cannot be read")?;
            limits.take(statement).ok_or_else(|| {
                format!("says {:?}, which is no limit, or says it twice", crate::error::shown(statement))
            })?;
        }
        Ok(limits)
    }

    fn take(&mut self, statement: &str) -> Option<()> {
        fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
            place.replace(value).is_none().then_some(())
        }
        let inner = |before: &str, after: &str| statement.strip_prefix(before)?.strip_suffix(after);
        // The same bounds as for what we write: nothing in quotes can look like anything else.
        let text = |text: &str, most| fits(text, most).then(|| text.to_owned());
        if let Some(name) = inner("name(\"", "\")") {
            return once(&mut self.name, text(name, MAX_NAME_BYTES)?);
        }
        if let Some(network) = inner("network(\"", "\")") {
            return once(&mut self.network, text(network, MAX_NAME_BYTES)?);
        }
        if let Some(budget) = inner("budget(", ")") {
            return once(&mut self.budget, Amount(budget.parse::<u64>().ok()?.into()));
        }
        if let Some(rate) = inner("rate(", ")") {
            return once(&mut self.rate, rate.parse().ok()?);
        }
        if let Some(end) = inner("check if time($time), $time <= ", "") {
            return once(&mut self.expires, date::read(end)?);
        }
        let models = inner("check if model($model), {", "}.contains($model)")?;
        let one = |name: &str| text(name.strip_prefix('"')?.strip_suffix('"')?, MAX_MODEL_BYTES);
        once(&mut self.models, models.split(", ").map(one).collect::<Option<BTreeSet<String>>>()?)
    }
}
