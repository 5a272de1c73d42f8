//! From a node that follows to a host: registered by its owner once the node has caught up and the money is there.

use freeway_api::{Client, HostView, Status};
use freeway_ledger::hosts::Profile;
use freeway_ledger::{Message, hosts};
use freeway_primitives::{Address, Amount, SecretKey};

use crate::commands::launch::{Failed, Want, run_errand};
use crate::hints::Problem;
use crate::output::Output;

/// Who owns the host, and what it will say of itself.
pub(super) struct Owner {
    pub(super) address: Address,
    /// What signs; without it somebody else must.
    pub(super) key: Option<SecretKey>,
    pub(super) profile: Profile,
    pub(super) collateral: Amount,
}

/// What the owner was told last; each is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    CatchingUp,
    Money,
    Elsewhere,
}

impl Owner {
    /// Sees to it that the host is registered, and says what that waits for. What cannot be done is said; the node goes
    /// on without.
    pub(super) async fn register(&self, clients: &[Client], output: Output) {
        let mut told = None;
        let mut tell = |what: Told, text: String| {
            if told != Some(what) {
                told = Some(what);
                output.note(text);
            }
        };
        let gave_up = || {
            Problem::new("not_registered", "the host could not be registered")
                .hint(format!("see why with `{}`", self.command()))
        };
        let look = async |client: &Client, status: &Status| self.look(client, status, &mut tell).await;
        match run_errand(clients, self.key.as_ref(), look, gave_up).await {
            Ok(()) => output.note(format!("{} is a host", self.address)),
            Err(problem) => output.note(problem),
        }
    }

    async fn look(
        &self,
        client: &Client,
        status: &Status,
        tell: &mut impl FnMut(Told, String),
    ) -> Result<Want, Failed> {
        if !status.synced {
            tell(Told::CatchingUp, "the node fetches what was decided so far".into());
            return Ok(Want::Wait);
        }
        match client.host(&self.address).await {
            Ok(host) => return self.is_this(&host).map(|()| Want::Nothing),
            Err(error) if error.is_not_found() => {}
            Err(_) => return Err(Failed::Silent),
        }
        let account = client.account(&self.address).await.map_err(|_| Failed::Silent)?;
        if account.balance < self.collateral {
            let (address, balance, collateral) = (self.address, account.balance, self.collateral);
            tell(
                Told::Money,
                format!(
                    "the account {address} has {balance} and needs {collateral} as collateral to become a host; \
                     waiting until somebody sends it, such as `freeway send --from NAME {address} AMOUNT`"
                ),
            );
            return Ok(Want::Wait);
        }
        if self.key.is_none() {
            tell(
                Told::Elsewhere,
                format!(
                    "waiting until its owner registers the host: `{}`, or `freeway join --host NAME` where its key is here",
                    self.command()
                ),
            );
        }
        let message = hosts::Message::Register { profile: self.profile.clone(), collateral: self.collateral };
        Ok(Want::Send(Box::new(Message::Hosts(message))))
    }

    /// Whether the host that is registered is this node.
    fn is_this(&self, host: &HostView) -> Result<(), Failed> {
        if host.consensus_key == self.profile.consensus_key {
            return Ok(());
        }
        let message = format!("{} is a host already, with the key of another node", self.address);
        let hint = format!(
            "stop that node for good, then name this one: `freeway host update --from NAME --consensus-key {}`",
            self.profile.consensus_key
        );
        Err(Failed::For(Problem::new("other_key", message).hint(hint)))
    }

    /// What registers the host by hand.
    fn command(&self) -> String {
        format!(
            "freeway host register --from NAME --consensus-key {} --collateral \"{}\"",
            self.profile.consensus_key, self.collateral
        )
    }
}
