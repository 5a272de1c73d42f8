//! The configuration and the files that it names: genesis, key, passphrase. None of them is unlocked.

use std::path::Path;

use freeway_ledger::Genesis;
use freeway_node::NodeConfig;
use freeway_primitives::{Canonical, ChainId};
use freeway_store::Look;

use super::finding::{Check, Finding};
use super::net::Seen;
use super::scope::Subject;
use crate::hints::Problem;
use crate::keystore::{ENVIRONMENT_VARIABLE, Keystore, PassphraseSource};

pub(super) async fn checks(subject: &Subject, seen: &Seen) -> Vec<Check> {
    let check = |name, finding| Check::new("config", name, finding);
    let config = match &subject.config {
        Ok(config) => config,
        Err(problem) => return vec![check("file", failed(problem, "correct the file"))],
    };
    let found = Finding::ok(format!("{} reads", subject.path.display()));
    let mut checks = vec![check("file", found)];
    if let Some(genesis) = &subject.genesis {
        checks.push(check("genesis", genesis_of(genesis.as_ref(), seen)));
        checks.push(check("data", data(seen.data.as_ref(), genesis.as_ref().ok().map(Genesis::chain))));
    }
    checks.push(check("key", key(config)));
    checks.push(check("passphrase", passphrase(config)));
    let has_data = config.data.join("store").is_dir();
    let is_set = config.join.key_is_new && config.host.is_some();
    checks.push(check("key_is_new", key_is_new(is_set, has_data, subject.is_local)));
    checks
}

/// A problem as a finding.
pub(super) fn failed(problem: &Problem, remedy: &str) -> Finding {
    Finding::failed(problem.message(), problem.what_next().unwrap_or(remedy))
}

fn genesis_of(genesis: Result<&Genesis, &Problem>, seen: &Seen) -> Finding {
    let remedy = "get the network's genesis.json from somebody who runs a node, and compare its identity with \
                  `freeway genesis show FILE`";
    let genesis = match genesis {
        Ok(genesis) => genesis,
        Err(problem) => return failed(problem, remedy),
    };
    let chain = genesis.chain();
    let answers = seen.answer.iter().filter_map(|answer| answer.as_ref().ok());
    let others = seen.others.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let foreign = answers.chain(others).find(|answer| answer.status.chain != chain);
    match foreign {
        Some(other) => Finding::failed(
            format!("{} is of network {}, the genesis here of {chain}", other.url, other.status.chain),
            remedy,
        ),
        None => Finding::ok(format!("network {} {chain}", genesis.name)),
    }
}

/// The data of a node that does not answer.
fn data(look: Option<&Result<Look, String>>, chain: Option<ChainId>) -> Finding {
    let remedy = "stop the node if it runs, move `data` away, and start again as in \"Restoring\" of docs/operating.md";
    match look {
        None => Finding::ok("the running node has it"),
        Some(Err(error)) => Finding::failed(error.clone(), remedy),
        Some(Ok(Look::Nothing)) => Finding::ok("none yet; the first start makes it"),
        Some(Ok(Look::InUse)) => Finding::ok("a process has it"),
        Some(Ok(Look::Unclosed)) => Finding::ok("not closed in order; the next start repairs it"),
        Some(Ok(Look::Unfinished)) => Finding::warning(
            "a snapshot was not fetched to its end",
            "start the node again: it goes on from there; `snapshot_from` in [join] must name nodes",
        ),
        Some(Ok(Look::Chain(bytes))) => {
            match (Genesis::decode(bytes).map(|genesis| genesis.chain()), chain) {
                (Ok(found), Some(wanted)) if found != wanted => Finding::failed(
                    format!("the data is of network {found}, the genesis of {wanted}"),
                    "name another folder as `data`, or the right genesis.json: one folder holds one network",
                ),
                (Err(_), _) => Finding::failed("the data begins with a genesis that does not read", remedy),
                _ => Finding::ok("of this network, closed in order"),
            }
        }
    }
}

fn key(config: &NodeConfig) -> Finding {
    let (folder, name) = (&config.key.keystore, &config.key.name);
    let remedy = format!(
        "make it again from its words: `freeway keys import {name} --keys '{}'`, or a new one with `freeway node init`",
        folder.display()
    );
    let entry = Keystore::open(folder).and_then(|keystore| keystore.entry(name));
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => return failed(&Problem::from(error), &remedy),
    };
    let path = folder.join(format!("{name}.json"));
    match shared_mode(&path) {
        Some(mode) => Finding::failed(
            format!("others can read {} (mode {mode:03o})", path.display()),
            format!("chmod 600 '{}'", path.display()),
        ),
        None => Finding::ok(format!("{name}, {}", entry.public_key)),
    }
}

/// The permissions of a file, if they let others in.
#[cfg(unix)]
pub(super) fn shared_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(super) fn shared_mode(_: &Path) -> Option<u32> {
    None
}

fn passphrase(config: &NodeConfig) -> Finding {
    let Some(file) = &config.key.passphrase_file else {
        let variable = std::env::var_os(ENVIRONMENT_VARIABLE).is_some();
        return Finding::none(if variable {
            format!("from {ENVIRONMENT_VARIABLE}")
        } else {
            format!("no file: from --passphrase-file, {ENVIRONMENT_VARIABLE} or the terminal at each start")
        });
    };
    // Read as a start would, and forgotten.
    match PassphraseSource::File(file.clone()).existing("") {
        Ok(_) => Finding::ok(format!("in {}", file.display())),
        Err(error) => failed(&Problem::from(error), "write it there, readable by its owner only"),
    }
}

/// `is_local`: all nodes of the network are on this machine, and lose their data together.
fn key_is_new(is_set: bool, has_data: bool, is_local: bool) -> Finding {
    match (is_set, has_data) {
        (false, _) => Finding::ok("not set"),
        (true, false) => Finding::ok("set, for a first start: right only if this key has never signed"),
        (true, true) if is_local => Finding::none("set, as in every network that `freeway up` makes"),
        (true, true) => Finding::warning(
            "still true, though the node has started before",
            "set `key_is_new = false` in [join]: with it, a node that lost its data signs twice, and loses collateral",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;
    use freeway_ledger::{Preset, Text};

    fn genesis(name: &str) -> Genesis {
        Genesis {
            name: Text::new(name).unwrap(),
            time_ms: 1,
            params: Preset::Local.params(),
            accounts: Vec::new(),
            hosts: Vec::new(),
        }
    }

    #[test]
    fn data_of_another_network_is_told() {
        let (here, other) = (genesis("a"), genesis("b"));
        for (look, status) in [
            (Ok(Look::Nothing), Status::Ok),
            (Ok(Look::InUse), Status::Ok),
            (Ok(Look::Unclosed), Status::Ok),
            (Ok(Look::Unfinished), Status::Warning),
            (Ok(Look::Chain(here.encode())), Status::Ok),
            (Ok(Look::Chain(other.encode())), Status::Failed),
            (Ok(Look::Chain(vec![1])), Status::Failed),
            (Err("damaged".to_owned()), Status::Failed),
        ] {
            assert_eq!(data(Some(&look), Some(here.chain())).status, status, "{look:?}");
        }
    }

    #[test]
    fn a_key_that_is_no_longer_new_is_told() {
        assert_eq!(key_is_new(false, true, false).status, Status::Ok);
        assert_eq!(key_is_new(true, false, false).status, Status::Ok);
        assert_eq!(key_is_new(true, true, false).status, Status::Warning);
        assert_eq!(key_is_new(true, true, true).status, Status::NotApplicable);
    }

    #[cfg(unix)]
    #[test]
    fn files_that_others_can_read_are_told() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, found) in [(0o600, None), (0o640, Some(0o640)), (0o604, Some(0o604))] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(shared_mode(file.path()), found);
        }
    }
}
