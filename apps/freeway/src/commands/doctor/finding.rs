//! What a check found, and what to do about it.

use serde::Serialize;

/// What is thought of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, but not well, or not for long.
    Warning,
    /// It does not work, or will not.
    Failed,
    /// There is nothing to look at, or it cannot be seen now.
    NotApplicable,
}

/// The result of a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) found: String,
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self { status: Status::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Nothing to look at, and why.
    pub(super) fn none(found: impl Into<String>) -> Self {
        Self { status: Status::NotApplicable, found: found.into(), remedy: None }
    }

    /// The same as a warning, if it was a failure.
    pub(super) fn at_most_a_warning(self) -> Self {
        match self.status {
            Status::Failed => Self { status: Status::Warning, ..self },
            _ => self,
        }
    }
}

/// A finding under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// A stable name, `group.check`.
    pub(super) id: String,
    /// The first part of it.
    pub(super) group: &'static str,
    /// Of which node, where several are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    pub(super) status: Status,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn new(group: &'static str, name: &str, finding: Finding) -> Self {
        let Finding { status, found, remedy } = finding;
        Self { id: format!("{group}.{name}"), group, node: None, status, found, remedy }
    }

    /// The same, of this node.
    pub(super) fn of(mut self, node: Option<&str>) -> Self {
        self.node = node.map(str::to_owned);
        self
    }
}
