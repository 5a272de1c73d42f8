//! Where a gateway looks at passes. Nothing is kept of a pass that is not used; of those that are, what was checked
//! and how often they asked, within bounds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::owners::{Owners, PassFolder};
use super::{Pass, PassError, PassId};
use crate::books::Line;
use crate::error::ApiError;
use crate::keys::Allowance;
use crate::keys::grant::{Admitted, Grant};
use crate::keys::rates::{Rates, Refusal};

/// Passes whose signatures are remembered as checked; twice as many right before the older half is forgotten.
const MAX_CHECKED: usize = 2_048;
/// Passes that asked in the last minute, of those with a rate.
const MAX_RATED: usize = 1 << 16;
/// After so long a silence a rate is as if it had never been used.
const IDLE: Duration = Duration::from_secs(61);
/// Between two searches for such.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A pass whose signatures are good.
#[derive(Debug)]
pub(crate) struct Checked {
    grant: Arc<Grant>,
    blocks: Vec<PassId>,
    /// The blocks with a rate, the owner's first.
    rates: Vec<(PassId, u32)>,
    expires: Option<u64>,
}

#[derive(Debug, Default)]
struct Cache {
    version: u64,
    young: HashMap<[u8; 32], Arc<Checked>>,
    old: HashMap<[u8; 32], Arc<Checked>>,
}

impl Cache {
    fn get(&mut self, key: &[u8; 32]) -> Option<Arc<Checked>> {
        let found = self.young.get(key).or_else(|| self.old.get(key)).cloned()?;
        if !self.young.contains_key(key) {
            self.put(*key, Arc::clone(&found));
        }
        Some(found)
    }

    fn put(&mut self, key: [u8; 32], checked: Arc<Checked>) {
        if self.young.len() >= MAX_CHECKED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, checked);
    }
}

#[derive(Debug)]
struct Rated {
    rates: Arc<Rates>,
    used: Instant,
}

/// Where passes are looked at.
#[derive(Debug)]
pub(crate) struct Desk {
    network: Option<String>,
    owners: Mutex<Owners>,
    cache: Mutex<Cache>,
    rated: Mutex<(HashMap<PassId, Rated>, Option<Instant>)>,
}

fn refused(code: &str, message: impl ToString) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// The desk of a gateway that pays on `network`.
    pub(crate) fn new(folder: PassFolder, network: Option<String>) -> Self {
        Self {
            network,
            owners: Mutex::new(Owners::new(folder)),
            cache: Mutex::default(),
            rated: Mutex::default(),
        }
    }

    /// What a pass allows, if it is good now. `unix` is in seconds since 1970.
    pub(crate) fn look(&self, text: &str, now: Instant, unix: u64) -> Result<Arc<Checked>, ApiError> {
        let key = *blake3::hash(text.as_bytes()).as_bytes();
        let mut owners = lock(&self.owners);
        owners.refresh(now);
        if owners.broken {
            let message =
                "the list of revoked passes cannot be read, so no pass is taken; tell the gateway's owner";
            return Err(ApiError::busy(message));
        }
        let (version, keys) = (owners.version, owners.keys.clone());
        drop(owners);
        let known = {
            let mut cache = lock(&self.cache);
            if cache.version != version {
                *cache = Cache { version, ..Cache::default() };
            }
            cache.get(&key)
        };
        let checked = match known {
            Some(checked) => checked,
            None => {
                let pass = Pass::parse_signed(text, &keys).map_err(|error| match error {
                    PassError::Foreign => refused("foreign_pass", error),
                    _ => refused("invalid_pass", error),
                })?;
                let checked = Arc::new(self.check(&pass)?);
                let mut cache = lock(&self.cache);
                if cache.version == version {
                    cache.put(key, Arc::clone(&checked));
                }
                checked
            }
        };
        if let Some(end) = checked.expires.filter(|&end| end < unix) {
            let end = super::date::write(end);
            let message = format!("the pass ended at {end}; ask whoever gave it to you for a new one");
            return Err(refused("expired_pass", message));
        }
        let owners = lock(&self.owners);
        if checked.blocks.iter().any(|id| owners.revoked.contains(id)) {
            let message =
                "the pass, or one that it was narrowed from, is revoked; ask whoever gave it to you";
            return Err(refused("revoked_pass", message));
        }
        Ok(checked)
    }

    fn check(&self, pass: &Pass) -> Result<Checked, ApiError> {
        let limits = pass.limits();
        if let (Some(asked), Some(own)) = (&limits.network, &self.network)
            && asked != own
        {
            let message =
                format!("the pass is for the network {asked}, and this gateway pays on {own}; use it there");
            return Err(refused("wrong_network", message));
        }
        let until = limits.expires.unwrap_or(u64::MAX);
        // A block's budget is needed for as long as anything narrowed from it may be used.
        let mut ends = u64::MAX;
        let mut lines = Vec::new();
        let mut rates = Vec::new();
        for block in pass.blocks() {
            ends = ends.min(block.limits.expires.unwrap_or(u64::MAX));
            if let Some(limit) = block.limits.budget {
                lines.push(Line { id: block.id.0, limit, until: ends });
            }
            rates.extend(block.limits.rate.map(|rate| (block.id, rate)));
        }
        let grant = Grant {
            name: limits.name.unwrap_or_else(|| pass.id().to_string()),
            what: "pass",
            models: limits.models,
            pays: !lines.is_empty(),
            lines: lines.into(),
        };
        let blocks = pass.blocks().iter().map(|block| block.id).collect();
        Ok(Checked { grant: Arc::new(grant), blocks, rates, expires: Some(until) })
    }

    /// Counts a request of a pass, and of all that it was narrowed from.
    pub(crate) fn admit(&self, checked: &Checked, now: Instant) -> Result<Admitted, Refusal> {
        let mut state = lock(&self.rated);
        let (rated, swept) = &mut *state;
        // Nothing is remembered of a pass whose owner has used up the rate, or anybody could make many such.
        for (id, _) in &checked.rates {
            if let Some(rated) = rated.get(id) {
                rated.rates.look(now)?;
            }
        }
        if rated.len() + checked.rates.len() > MAX_RATED {
            if swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_EVERY) {
                *swept = Some(now);
                rated.retain(|_, rated| {
                    Arc::strong_count(&rated.rates) > 1 || now.saturating_duration_since(rated.used) < IDLE
                });
            }
            if rated.len() + checked.rates.len() > MAX_RATED {
                let message = "too many passes were used in the last minute; try again soon".to_owned();
                return Err(Refusal { message, after: Duration::from_secs(5) });
            }
        }
        let mut leases = Vec::with_capacity(checked.rates.len());
        for (id, rate) in checked.rates.iter().rev() {
            let allowance = Allowance { requests_per_minute: Some(*rate), ..Allowance::default() };
            let rated = rated
                .entry(*id)
                .or_insert_with(|| Rated { rates: Arc::new(Rates::new(allowance, now)), used: now });
            rated.used = now;
            leases.push(rated.rates.admit(now)?);
        }
        Ok(Admitted { grant: Arc::clone(&checked.grant), leases })
    }
}

impl Checked {
    /// What it allows.
    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }
}
