//! Executing a block: the same steps for the proposer that builds it and for everybody who checks it.

use freeway_primitives::{Address, Amount, Digest, Height, ValidatorSet};

use crate::context::{BlockInfo, Context};
use crate::epochs::{self, CLOCK, Clock};
use crate::error::{Error, Rejection};
use crate::evidence::MAX_REPORTS_PER_BLOCK;
use crate::module::{self, Class};
use crate::params::{PARAMS, Params};
use crate::receipt::{Event, Outcome, Receipt, receipts_root};
use crate::state::{Delta, Fault, Overlay, Reader};
use crate::transaction::{Message, Transaction};
use crate::vaults::{MINTED, SUPPLY, VAULTS};
use crate::{accounts, rewards};

/// A block under execution.
pub struct Executor<'a> {
    state: Overlay<'a>,
    params: Params,
    clock: Clock,
    block: BlockInfo,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
    ordinary_bytes: usize,
    duty_bytes: usize,
    free_places: u32,
    reports: u32,
    /// Supply, and what of it was made since genesis, before the block.
    money_before: (Amount, Amount),
}

/// What a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOutcome {
    /// The height.
    pub height: Height,
    /// The changes of state.
    pub delta: Delta,
    /// The block's own events: phases, payouts, switches.
    pub events: Vec<Event>,
    /// One receipt per transaction, in order.
    pub receipts: Vec<Receipt>,
    /// Digest of events and receipts, for the next header.
    pub receipts_root: Digest,
    /// The validators of the next height.
    pub next_validators: ValidatorSet,
    /// Those of them that are not asked for proposals.
    pub silent: Vec<Address>,
    /// The parameters of the next height.
    pub params: Params,
}

impl<'a> Executor<'a> {
    /// Starts the block after the state of `base`.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn begin(base: &'a dyn Reader, block: BlockInfo) -> Result<Self, Fault> {
        let mut state = Overlay::new(base);
        let params = PARAMS.require(&state)?;
        let money_before = (SUPPLY.require(&state)?, MINTED.require(&state)?);
        let clock = CLOCK.require(&state)?.at(block.height, &params.epochs);
        let mut events = Vec::new();
        let mut context = Context {
            state: &mut state,
            block: &block,
            params: &params,
            clock,
            caller: block.proposer,
            by_delegate: false,
            events: &mut events,
        };
        module::begin(&mut context)?;
        Ok(Self {
            state,
            params,
            clock,
            block,
            events,
            receipts: Vec::new(),
            ordinary_bytes: 0,
            duty_bytes: 0,
            free_places: 0,
            reports: 0,
            money_before,
        })
    }

    /// Executes a transaction as the next of the block, or rejects it and changes nothing. Its chain and
    /// signature must have been checked. `bytes` is its canonical length.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn include(
        &mut self,
        transaction: &Transaction,
        hash: Digest,
        bytes: usize,
    ) -> Result<Result<&Receipt, Rejection>, Fault> {
        let body = &transaction.body;
        let class = body.message.class();
        if let Err(rejection) = self.room_for(class, bytes) {
            return Ok(Err(rejection));
        }
        let is_report = matches!(body.message, Message::Evidence(_));
        if is_report && self.reports >= MAX_REPORTS_PER_BLOCK {
            return Ok(Err(Rejection::BlockFull));
        }
        self.state.mark();
        let (params, height) = (&self.params.accounts, self.block.height);
        match accounts::admit(&mut self.state, body, params, height, self.clock.epoch)? {
            Err(rejection) => return Ok(Err(rejection)),
            Ok(admitted) if admitted.free_place => {
                if self.free_places >= params.free_places {
                    self.state.revert();
                    return Ok(Err(Rejection::NoFreePlace));
                }
                self.free_places += 1;
            }
            Ok(_) => {}
        }
        self.reports += u32::from(is_report);
        // What was counted stays, whatever the message does; unless it is one that is taken only if it succeeds.
        let is_owed = body.message.is_owed();
        if !is_owed {
            self.state.mark();
        }
        let (mut events, caller) = (Vec::new(), body.account());
        let mut context = Context {
            state: &mut self.state,
            block: &self.block,
            params: &self.params,
            clock: self.clock,
            caller,
            by_delegate: caller != Address::of(&body.signer),
            events: &mut events,
        };
        let outcome = match module::apply(&mut context, &body.message) {
            Ok(()) => Outcome::Done,
            Err(Error::Fault(fault)) => return Err(fault),
            Err(Error::Failed(failure)) => {
                self.state.revert();
                if is_owed {
                    return Ok(Err(Rejection::NotDue(Box::new(failure))));
                }
                events.clear();
                Outcome::Failed(failure)
            }
        };
        match class {
            Class::Duty => self.duty_bytes += bytes,
            Class::Ordinary => self.ordinary_bytes += bytes,
        }
        self.receipts.push(Receipt { transaction: hash, outcome, events });
        // Just pushed.
        Ok(Ok(&self.receipts[self.receipts.len() - 1]))
    }

    fn room_for(&self, class: Class, bytes: usize) -> Result<(), Rejection> {
        let limits = &self.params.blocks;
        if self.receipts.len() >= limits.max_transactions as usize {
            return Err(Rejection::BlockFull);
        }
        let (all, reserve) = (limits.max_transaction_bytes as usize, limits.duty_reserve_bytes as usize);
        match class {
            Class::Duty if self.ordinary_bytes > 0 => Err(Rejection::OutOfOrder),
            Class::Duty if self.duty_bytes + bytes > all => Err(Rejection::BlockFull),
            // The reserve is for duties even in blocks that have none.
            Class::Ordinary if self.duty_bytes.max(reserve) + self.ordinary_bytes + bytes > all => {
                Err(Rejection::BlockFull)
            }
            _ => Ok(()),
        }
    }

    /// Whether not even the smallest further transaction could be included.
    pub fn is_full(&self) -> bool {
        self.room_for(Class::Ordinary, 1).is_err()
    }

    /// Ends the block.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read, or if money was made or lost: then the rules have a defect, and
    /// stopping is the only honest answer.
    pub fn finish(mut self) -> Result<BlockOutcome, Fault> {
        self.state.mark();
        let mut context = Context {
            state: &mut self.state,
            block: &self.block,
            params: &self.params,
            clock: self.clock,
            caller: self.block.proposer,
            by_delegate: false,
            events: &mut self.events,
        };
        module::end(&mut context)?;
        let (held, supply) = (VAULTS.require(&self.state)?.total(), SUPPLY.require(&self.state)?);
        if held != Some(supply) {
            return Err(Fault(format!("supply is {supply}, but the vaults hold {held:?}")));
        }
        // What was made is what this block was to make, and nothing else changed the supply.
        let ((before, made_before), made) = (self.money_before, MINTED.require(&self.state)?);
        let due = rewards::due(&self.params, self.clock, &self.block);
        if before.checked_add(due) != Some(supply) || made_before.checked_add(due) != Some(made) {
            return Err(Fault(format!(
                "supply was {before} and is {supply}, minted was {made_before} and is {made}, but {due} was due"
            )));
        }
        let params = PARAMS.require(&self.state)?;
        let next_validators = epochs::VALIDATORS.require(&self.state)?;
        let mut silent = epochs::silent(&self.state, &params.epochs)?;
        // At a switch the count still has those who are leaving.
        silent.retain(|address| next_validators.get(address).is_some());
        Ok(BlockOutcome {
            height: self.block.height,
            next_validators,
            silent,
            receipts_root: receipts_root(&self.events, &self.receipts),
            params,
            delta: self.state.into_delta(),
            events: self.events,
            receipts: self.receipts,
        })
    }
}

/// Whether a transaction could stand in the block after the state of `state`, at `height`; the mempool's
/// question. Gaps in the sequence, quotas and places are answered as they stand now, and whether something is due
/// in the race by what the race has come to: what this block's own beginning changes is not foreseen.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn admit(
    state: &dyn Reader,
    transaction: &Transaction,
    height: Height,
) -> Result<Result<(), Rejection>, Fault> {
    let params = PARAMS.require(state)?;
    let clock = CLOCK.require(state)?.at(height, &params.epochs);
    let body = &transaction.body;
    if let Err(rejection) = accounts::check(state, body, &params.accounts, height, clock.epoch)? {
        return Ok(Err(rejection));
    }
    if !body.message.is_owed() {
        return Ok(Ok(()));
    }
    let mut overlay = Overlay::new(state);
    let block = BlockInfo { height, proposer: body.account(), parent_signers: Vec::new(), beacon: None };
    let (mut events, caller) = (Vec::new(), body.account());
    let mut context = Context {
        state: &mut overlay,
        block: &block,
        params: &params,
        clock,
        caller,
        by_delegate: caller != Address::of(&body.signer),
        events: &mut events,
    };
    match module::apply(&mut context, &body.message) {
        Ok(()) => Ok(Ok(())),
        Err(Error::Fault(fault)) => Err(fault),
        Err(Error::Failed(failure)) => Ok(Err(Rejection::NotDue(Box::new(failure)))),
    }
}
