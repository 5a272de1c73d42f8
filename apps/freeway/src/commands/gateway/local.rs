//! The gateway of the network here, from its files.

use std::path::PathBuf;

use freeway_node::config::GatewayFile;
use freeway_primitives::Address;

use super::DATA;
use crate::cli::Context;
use crate::hints::Problem;
use crate::keystore::Keystore;

/// The folder of the developer's gateway in the directory of a network, and its configuration there.
pub(crate) const FOLDER: &str = "gateway";
pub(crate) const FILE: &str = "gateway.toml";

/// The configuration of the developer's gateway that `freeway up` made here; `None` if there is none.
///
/// # Errors
/// If it does not read.
pub(crate) fn here(context: &Context) -> Result<Option<GatewayFile>, Problem> {
    let path = context.directory()?.join(FOLDER).join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let file = GatewayFile::load(&path).map_err(|error| Problem::told("invalid_config", error))?;
    Ok(Some(file))
}

/// Who pays for the gateway here, and the name of the key that does it; `None` if there is no such gateway.
///
/// # Errors
/// If its configuration does not read, or names a key that is not there.
pub(crate) fn payer(context: &Context) -> Result<Option<(Address, String)>, Problem> {
    let Some(lanes) = here(context)?.and_then(|file| file.lanes) else { return Ok(None) };
    let account = lanes.account().map_err(|error| Problem::told("invalid_config", error))?;
    let name = lanes.key.name;
    let account = match account {
        Some(account) => account,
        None => Keystore::open(&lanes.key.keystore)?.entry(&name)?.address,
    };
    Ok(Some((account, name)))
}

/// Where the gateway here keeps what was spent: the developer's, or one that was started with options.
///
/// # Errors
/// If its configuration does not read.
pub(crate) fn books(context: &Context) -> Result<PathBuf, Problem> {
    match here(context)?.and_then(|file| file.gateway.data) {
        Some(data) => Ok(data),
        None => Ok(context.directory()?.join(DATA)),
    }
}
