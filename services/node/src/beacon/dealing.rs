//! This host's part in the making of a key: dealing, acknowledging, answering, and its shares in the end.
//!
//! Everything is a function of the key and of what stands on the chain, so that a restart at any moment goes
//! on where it was.

use freeway_beacon::{Acks, Board, Dealing, Group, Log, OwnError, Round, Shares};
use freeway_ledger::beacon::{self, ACKNOWLEDGEMENTS, DEALINGS, LOGS, Stage, posted};
use freeway_ledger::{Fault, Message, Reader};
use freeway_primitives::{Address, Canonical, ChainId, Height, SecretKey};
use tracing::{info, warn};

use crate::duties::Duties;

/// Posts what is due in the block after `height` and not on the chain yet.
pub(super) fn step(
    chain: ChainId,
    address: Address,
    state: &dyn Reader,
    height: Height,
    duties: &Duties,
) -> Result<(), Fault> {
    let Some((dealing, stage)) = beacon::stage(state, height.next())? else { return Ok(()) };
    let table = match stage {
        Stage::Deal => DEALINGS,
        Stage::Acknowledge => ACKNOWLEDGEMENTS,
        Stage::Close => LOGS,
        Stage::Over => return Ok(()),
    };
    let done = table.get(state, &(dealing.epoch, address))?.is_some();
    if done || dealing.seats.holder(&address).is_none() || duties.waiting()? {
        return Ok(());
    }
    let (round, holders, epoch) = (dealing.round(chain), dealing.holders(), dealing.epoch);
    let board =
        || Ok::<_, Fault>(Board::new(round.clone(), posted::<Dealing>(state, DEALINGS, epoch, &holders)?));
    let (key, me) = (duties.key(), &address);
    let made: Result<Option<beacon::Message>, OwnError> = match stage {
        Stage::Deal => round.deal(key, me).map(|dealing| Some(beacon::Message::Deal(dealing.encode()))),
        Stage::Acknowledge => {
            board()?.acknowledge(key, me).map(|acks| Some(beacon::Message::Acknowledge(acks.encode())))
        }
        Stage::Close => {
            let acks = posted::<Acks>(state, ACKNOWLEDGEMENTS, epoch, &holders)?;
            board()?.close(key, me, &acks).map(|log| log.map(|log| beacon::Message::Close(log.encode())))
        }
        Stage::Over => Ok(None),
    };
    match made {
        Ok(Some(message)) => {
            info!(%epoch, stage = stage.name(), "taking part in the making of the beacon's key");
            duties.send(vec![Message::Beacon(message)])?;
        }
        Ok(None) => {}
        Err(reason) => warn!(%epoch, stage = stage.name(), %reason,
            "this host cannot do its part in the making of the beacon's key"),
    }
    Ok(())
}

/// This host's shares of a group's key; `None` if it has none.
pub(super) fn shares(
    chain: ChainId,
    me: &Address,
    key: &SecretKey,
    state: &dyn Reader,
    group: &Group,
) -> Result<Option<Shares>, Fault> {
    if group.seats.holder(me).is_none_or(|holder| holder.key != key.public()) {
        return Ok(None);
    }
    let round = Round::new(chain, group.epoch, group.seats.clone());
    let holders: Vec<_> = group.seats.holders().iter().map(|holder| holder.address).collect();
    let dealings = posted::<Dealing>(state, DEALINGS, group.epoch, &holders)?;
    let logs = posted::<Log>(state, LOGS, group.epoch, &holders)?;
    match Board::new(round, dealings).shares(key, me, group, &logs) {
        Ok(shares) => Ok(Some(shares)),
        Err(reason) => {
            warn!(epoch = %group.epoch, %reason, "this host has no share of the beacon's key of this epoch");
            Ok(None)
        }
    }
}
