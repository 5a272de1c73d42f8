//! How the commitments of an interval go from step to step, at the beginning of blocks.

use freeway_primitives::{Address, Domain, Height};
use freeway_proofs::draw::Stream;

use super::committee::{self, Draw, Known};
use super::{
    COMMITS, Closing, Commitment, Drawn, Event, Pass, ROUNDS, Reveal, Round, Sampled, State, Void, emit,
    number, query, settle,
};
use crate::beacon::{self, WINDOW};
use crate::context::Context;
use crate::hosts::HOSTS;
use crate::state::{Fault, Key};
use crate::{verification, weights};

const REVEAL: Domain = Domain::new("freeway 1 work reveal");

/// Reveals are drawn by so many parts.
const WHOLE: u64 = 1_000;

/// A deadline while a pass is under way.
const UNSET: Height = Height(u64::MAX);

/// Takes every round as far as this block may.
pub(super) fn advance(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let mut left = context.params.work.max_steps_per_block as usize;
    let mut known = Known::new();
    for (id, before) in query::rounds(context.state)? {
        let mut round = before.clone();
        if round.pass == Pass::Idle {
            start(context, &mut round)?;
        }
        let over = round.pass != Pass::Idle && run(context, id, &mut round, &mut left, &mut known)?;
        if over {
            ROUNDS.remove(context.state, &id);
        } else if round != before {
            ROUNDS.set(context.state, &id, &round);
        }
    }
    Ok(())
}

/// Begins the next pass, if its time has come.
fn start(context: &Context<'_, '_>, round: &mut Round) -> Result<(), Fault> {
    let height = context.block.height;
    if let Some(closing) = &round.closing {
        if height >= closing.settles {
            round.pass = Pass::Settling;
        }
        return Ok(());
    }
    let waits_for = round.drawn.as_ref().map_or(round.from, |drawn| drawn.until);
    if height <= waits_for {
        return Ok(());
    }
    let Some(value) = beacon::value(context.state, waits_for)? else {
        // It cannot be recorded any more.
        if height > waits_for.plus(WINDOW) {
            round.pass = Pass::Abandoning;
        }
        return Ok(());
    };
    // Whoever's turn comes last has as much time as the first: deadlines run from the end of the pass.
    if round.drawn.is_none() {
        round.drawn = Some(Drawn { height, value, until: UNSET });
        round.pass = Pass::Drawing;
    } else {
        round.closing = Some(Closing { height, value, until: UNSET, settles: UNSET });
        round.pass = Pass::Closing;
    }
    Ok(())
}

/// At the end of a pass: what comes next has its deadline.
fn finish(
    context: &mut Context<'_, '_>,
    (interval, number): (u64, u64),
    round: &mut Round,
) -> Result<(), Fault> {
    let (height, rules) = (context.block.height, &context.params.verification);
    let verdicts = height.plus(rules.verdict_blocks.saturating_sub(1));
    match (round.pass, &mut round.drawn, &mut round.closing) {
        (Pass::Drawing, Some(drawn), _) => {
            drawn.until = verdicts;
            emit(context, Event::Drawn { interval, round: number, until: verdicts });
        }
        (Pass::Closing, _, Some(closing)) => {
            let until = height.plus(rules.reveal_blocks.saturating_sub(1));
            (closing.until, closing.settles) = (until, until.plus(rules.judge_blocks).next());
            emit(context, Event::Closing { interval, round: number, until });
            let next = (interval, number.saturating_add(1));
            if let Some(mut round) = ROUNDS.get(context.state, &next)?
                && let Some(drawn) = &mut round.drawn
            {
                drawn.until = verdicts;
                ROUNDS.set(context.state, &next, &round);
                emit(context, Event::Drawn { interval, round: next.1, until: verdicts });
            }
        }
        _ => {}
    }
    Ok(())
}

/// Goes on with a pass over the commitments of a round. Whether the round is over.
fn run(
    context: &mut Context<'_, '_>,
    (interval, number): (u64, u64),
    round: &mut Round,
    left: &mut usize,
    known: &mut Known,
) -> Result<bool, Fault> {
    let limit = *left;
    if limit == 0 {
        return Ok(false);
    }
    let after = round.after.map(|host| (interval, host));
    let page = COMMITS.page_under(context.state, &interval.to_bytes(), after.as_ref(), limit)?;
    let all = page.len() < limit;
    *left = limit.saturating_sub(page.len());
    for ((_, host), commitment) in page {
        if commitment.round == number && !one(context, (interval, number), round, &host, commitment, known)? {
            // It is waited for.
            return Ok(false);
        }
        round.after = Some(host);
    }
    if !all {
        return Ok(false);
    }
    finish(context, (interval, number), round)?;
    let over = matches!(round.pass, Pass::Settling | Pass::Abandoning);
    (round.pass, round.after) = (Pass::Idle, None);
    Ok(over)
}

/// One commitment's part in a pass. Whether the pass can go on.
fn one(
    context: &mut Context<'_, '_>,
    id: (u64, u64),
    round: &Round,
    host: &Address,
    commitment: Commitment,
    known: &mut Known,
) -> Result<bool, Fault> {
    let (interval, open) = (id.0, commitment.state == State::Open);
    match (round.pass, &round.drawn, &round.closing) {
        (Pass::Drawing, Some(drawn), _) if open => {
            let draw = Draw { value: &drawn.value, from: round.from, interval, round: 0 };
            sample(context, &draw, host, commitment, known)?;
        }
        (Pass::Closing, Some(drawn), Some(closing)) if open => {
            let from = drawn.until;
            close(context, id, closing, from, host, commitment, known)?;
        }
        (Pass::Settling, ..) => return settle::decide(context, interval, host, &commitment),
        (Pass::Abandoning, ..) if open => settle::annul(context, interval, host, Void::NoRandomness)?,
        _ => {}
    }
    Ok(true)
}

/// Draws the samples of a commitment, and who checks them.
fn sample(
    context: &mut Context<'_, '_>,
    draw: &Draw<'_>,
    host: &Address,
    mut commitment: Commitment,
    known: &mut Known,
) -> Result<(), Fault> {
    let reputation = weights::of(context.state, host)?.reputation;
    let collateral = HOSTS.get(context.state, host)?;
    let collateral = collateral.map(|known| query::slashable(&known, context.params, context.block.height));
    let has_collateral = collateral.is_some_and(|amount| !amount.is_zero());
    let count = context.params.work.samples(reputation, has_collateral);
    commitment.sampled = Some(Sampled { value: *draw.value, count });
    let mut sampled = vec![false; commitment.branches.len()];
    for sample in query::samples(host, draw.interval, &commitment) {
        if let Some(branch) = sampled.get_mut(sample.branch) {
            *branch = true;
        }
    }
    for (index, has_samples) in sampled.into_iter().enumerate() {
        if has_samples {
            committee::draw(context, known, draw, host, &mut commitment, index)?;
        }
    }
    COMMITS.set(context.state, &(draw.interval, *host), &commitment);
    Ok(())
}

/// After the verdicts: what was checked may have to be revealed, and what was not is given to others.
fn close(
    context: &mut Context<'_, '_>,
    (interval, number): (u64, u64),
    closing: &Closing,
    from: Height,
    host: &Address,
    mut commitment: Commitment,
    known: &mut Known,
) -> Result<(), Fault> {
    let unchecked = verification::unchecked(context.state, interval, host, &commitment)?;
    let rules = &context.params.verification;
    if unchecked.is_empty() {
        let mut stream = Stream::new(&closing.value, REVEAL, &[&host.0, &interval.to_le_bytes()]);
        if stream.below(WHOLE) < rules.revealed_thousandths {
            let samples = self::number(query::samples(host, interval, &commitment).len());
            let sample = u32::try_from(stream.below(u64::from(samples))).unwrap_or_default();
            commitment.reveal = Some(Reveal { sample, done: false });
            COMMITS.set(context.state, &(interval, *host), &commitment);
        }
        return Ok(());
    }
    let next = number.saturating_add(1);
    if next >= rules.max_rounds {
        return settle::unchecked(context, interval, host, &commitment);
    }
    for branch in &mut commitment.branches {
        branch.asked = self::number(branch.committee.len());
    }
    let draw = Draw { value: &closing.value, from, interval, round: next };
    for index in unchecked {
        committee::draw(context, known, &draw, host, &mut commitment, index)?;
    }
    commitment.round = next;
    COMMITS.set(context.state, &(interval, *host), &commitment);
    if !ROUNDS.contains(context.state, &(interval, next))? {
        let (height, value) = (context.block.height, closing.value);
        let drawn = Some(Drawn { height, value, until: UNSET });
        let round = Round { from, drawn, closing: None, pass: Pass::Idle, after: None };
        ROUNDS.set(context.state, &(interval, next), &round);
    }
    Ok(())
}
