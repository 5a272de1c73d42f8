//! What is shown: plain data, and one function that says what a message makes of it.
//!
//! Nothing here reads a clock, a file or a socket: [`Model::update`] takes what happened and when. Views only read.

mod data;
mod lists;
mod requests;

use freeway_primitives::Address;

pub(super) use data::{Data, Detail, Link, MAX_EPOCHS, News};
pub(super) use lists::{Columns, Racer, new_money};
pub(super) use requests::{Request, Settled};

use super::keys::Action;
use super::logs::{Line, Source};

/// The longest filter.
const MAX_FILTER: usize = 60;

/// What can be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum View {
    /// The network in figures.
    #[default]
    Network,
    /// The race of the epoch.
    Sprint,
    /// Who lends machines.
    Hosts,
    /// Paid work, how it is checked, and lanes.
    Requests,
    /// What the processes log, or what happens on the chain.
    Logs,
}

impl View {
    /// All of them, in the order of their keys.
    pub(super) const ALL: [Self; 5] = [Self::Network, Self::Sprint, Self::Hosts, Self::Requests, Self::Logs];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Sprint => "Sprint",
            Self::Hosts => "Hosts",
            Self::Requests => "Requests",
            Self::Logs => "Logs",
        }
    }

    const fn place(self) -> usize {
        self as usize
    }

    fn beside(self, step: usize) -> Self {
        let place = (self.place() + step) % Self::ALL.len();
        Self::ALL.get(place).copied().unwrap_or_default()
    }
}

/// Where somebody is in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// What names the chosen row; the row moves, and the choice with it.
    pub(super) chosen: Option<String>,
    /// Where that row was last.
    pub(super) index: usize,
    /// Only rows with this in them.
    pub(super) filter: String,
    /// By which of [`Columns`] it is sorted.
    pub(super) sort: usize,
    /// Whether the other way round.
    pub(super) reverse: bool,
}

/// Something that happened.
#[derive(Debug)]
pub(super) enum Message {
    /// A key that means something.
    Do(Action),
    /// Time passes.
    Tick,
    /// Lines of a log.
    Lines(Vec<Line>),
    /// Whether there are log files here.
    Files(bool),
    /// The node says something, or nothing.
    News(Box<News>),
}

/// What the program does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It goes on.
    On,
    /// It ends.
    Quit,
    /// It lets the shell have the terminal.
    Suspend,
    /// It draws everything anew.
    Redraw,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// Milliseconds since 1970.
    pub(super) now_ms: u64,
    /// What is looked at.
    pub(super) view: View,
    /// Whether the page of keys lies above it.
    pub(super) help: bool,
    /// The host that is looked at closely.
    pub(super) open: Option<Address>,
    /// The filter that is being typed.
    pub(super) typing: Option<String>,
    /// Where somebody is in each view.
    places: [Place; View::ALL.len()],
    /// Rows of a list that the screen has, to leaf through.
    pub(super) page: usize,
    /// Of logs: whether what happens on the chain is shown although there are files.
    pub(super) chain_log: bool,
    /// What is known.
    latest: Data,
    /// What was known when time was stopped.
    stopped: Option<(u64, Box<Data>)>,
}

impl Model {
    /// A model that looks at this, at this moment.
    pub(super) fn new(view: View, now_ms: u64) -> Self {
        Self { view, now_ms, page: 10, ..Self::default() }
    }

    /// What is shown: the latest, or what was known when it was stopped.
    pub(super) fn data(&self) -> &Data {
        self.stopped.as_ref().map_or(&self.latest, |(_, data)| data)
    }

    /// What is known, also while what is shown stands still.
    pub(super) const fn latest(&self) -> &Data {
        &self.latest
    }

    /// Since when it stands still.
    pub(super) fn stopped_at(&self) -> Option<u64> {
        self.stopped.as_ref().map(|(at, _)| *at)
    }

    /// The moment that ages are counted from: while it stands still, that of the stop.
    pub(super) fn moment(&self) -> u64 {
        self.stopped_at().unwrap_or(self.now_ms)
    }

    /// Where somebody is in this view.
    pub(super) fn place(&self) -> &Place {
        self.place_in(self.view)
    }

    /// Where somebody is in a view.
    pub(super) fn place_in(&self, view: View) -> &Place {
        let [network, sprint, hosts, requests, logs] = &self.places;
        match view {
            View::Network => network,
            View::Sprint => sprint,
            View::Hosts => hosts,
            View::Requests => requests,
            View::Logs => logs,
        }
    }

    fn place_mut(&mut self) -> &mut Place {
        let [network, sprint, hosts, requests, logs] = &mut self.places;
        match self.view {
            View::Network => network,
            View::Sprint => sprint,
            View::Hosts => hosts,
            View::Requests => requests,
            View::Logs => logs,
        }
    }

    /// Which lines are shown as the log.
    pub(super) fn log_source(&self) -> Source {
        if self.data().logs.has_files() && !self.chain_log { Source::Files } else { Source::Chain }
    }

    /// What a message makes of it.
    pub(super) fn update(&mut self, message: Message, now_ms: u64) -> Then {
        self.now_ms = now_ms;
        let then = match message {
            Message::Tick => Then::On,
            Message::Lines(lines) => {
                self.latest.logs.add(lines);
                Then::On
            }
            Message::Files(any) => {
                self.latest.logs.set_files(any);
                Then::On
            }
            Message::News(news) => {
                self.latest.take(*news, now_ms);
                Then::On
            }
            Message::Do(action) => self.act(action),
        };
        self.find_chosen();
        then
    }

    fn act(&mut self, action: Action) -> Then {
        match action {
            Action::Quit => return Then::Quit,
            Action::Suspend => return Then::Suspend,
            Action::Redraw => return Then::Redraw,
            Action::Back => return self.back(),
            Action::Help => self.help = !self.help,
            Action::Go(view) => self.go(view),
            Action::Next => self.go(self.view.beside(1)),
            Action::Previous => self.go(self.view.beside(View::ALL.len() - 1)),
            Action::Move(rows) => self.go_by(rows),
            Action::Page(pages) => {
                let rows = isize::try_from(self.page.max(1)).unwrap_or(1);
                self.go_by(pages.saturating_mul(rows));
            }
            Action::First => self.go_by(isize::MIN),
            Action::Last => self.go_by(isize::MAX),
            Action::Sort => {
                let columns = Columns::of(self.view).names().len();
                let place = self.place_mut();
                place.sort = (place.sort + 1).checked_rem(columns).unwrap_or_default();
            }
            Action::Reverse => {
                let place = self.place_mut();
                place.reverse = !place.reverse;
            }
            Action::Pause => {
                self.stopped = match self.stopped.take() {
                    Some(_) => None,
                    None => Some((self.now_ms, Box::new(self.latest.clone()))),
                };
            }
            Action::Enter => {
                let chosen = self.place().chosen.as_deref().and_then(|key| key.parse().ok());
                if matches!(self.view, View::Hosts | View::Sprint) && self.open.is_none() && chosen.is_some()
                {
                    self.view = View::Hosts;
                    self.place_mut().chosen = chosen.map(|host: Address| host.to_string());
                    self.open = chosen;
                }
            }
            Action::ChainLog => self.chain_log = self.view == View::Logs && !self.chain_log,
            Action::Filter => {
                let has_list = self.view != View::Network && self.open.is_none();
                self.typing = has_list.then(|| self.place().filter.clone());
            }
            Action::Type(c) => {
                if let Some(typed) = &mut self.typing
                    && typed.chars().count() < MAX_FILTER
                {
                    typed.push(c);
                }
                self.narrow();
            }
            Action::Erase => {
                // There is nothing to erase in an empty filter: its line goes.
                if self.typing.as_mut().is_some_and(|typed| typed.pop().is_none()) {
                    self.typing = None;
                }
                self.narrow();
            }
            Action::EraseAll => {
                self.typing = self.typing.is_some().then(String::new);
                self.narrow();
            }
            Action::Accept => self.typing = None,
        }
        Then::On
    }

    /// While a filter is typed, the list follows.
    fn narrow(&mut self) {
        if let Some(typed) = self.typing.clone() {
            self.place_mut().filter = typed;
        }
    }

    /// Out of whatever lies on top; out of the program if nothing does.
    fn back(&mut self) -> Then {
        if self.typing.take().is_some() || !self.place().filter.is_empty() {
            self.place_mut().filter.clear();
        } else if self.help {
            self.help = false;
        } else if self.open.take().is_none() {
            return Then::Quit;
        }
        Then::On
    }

    fn go(&mut self, view: View) {
        self.typing = None;
        self.help = false;
        self.open = None;
        self.view = view;
    }

    fn go_by(&mut self, rows: isize) {
        if self.open.is_some() {
            return;
        }
        let keys = self.keys();
        let Some(last) = keys.len().checked_sub(1) else { return };
        let (index, reaches_end) = {
            let index = self.place().index.min(last).saturating_add_signed(rows).min(last);
            (index, index == last)
        };
        let chosen = keys.into_iter().nth(index);
        // The end of a log is followed, whatever comes.
        let follows = self.view == View::Logs && reaches_end;
        let place = self.place_mut();
        place.index = index;
        place.chosen = if follows { None } else { chosen };
    }

    /// The chosen row may have moved; or gone, and then its neighbour is chosen.
    fn find_chosen(&mut self) {
        if self.view == View::Network {
            return;
        }
        let keys = self.keys();
        let follows = self.view == View::Logs;
        let place = self.place_mut();
        let last = keys.len().saturating_sub(1);
        let found = place.chosen.as_ref().and_then(|chosen| keys.iter().position(|key| key == chosen));
        place.index = match (&place.chosen, found) {
            (Some(_), Some(index)) => index,
            (None, _) if follows => last,
            _ => place.index.min(last),
        };
        if !follows {
            place.chosen = keys.into_iter().nth(place.index);
        } else if place.chosen.is_some() && found.is_none() {
            // What was looked at has been forgotten.
            place.chosen = keys.into_iter().nth(place.index);
        }
    }
}

#[cfg(test)]
mod tests;
