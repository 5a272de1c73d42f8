//! The rules of the tree.
//!
//! Each family has a file with one `check`; each violation says where, what was found, and what to do about it.

use std::process::ExitCode;

use crate::workspace::Workspace;

mod book;
mod decisions;
pub(crate) mod dependencies;
mod layers;
mod leftovers;
mod links;
mod machines;
mod manifests;
mod purity;
pub(crate) mod readme;
mod shape;
mod translations;
mod unsafety;

/// The rule families, in the order of their names.
const RULES: [fn(&Workspace) -> Vec<Violation>; 14] = [
    book::check,
    decisions::check,
    dependencies::check,
    layers::check,
    leftovers::check,
    crate::licences::check_tree,
    links::check,
    machines::check,
    manifests::check,
    purity::check,
    readme::check,
    shape::check,
    translations::check,
    unsafety::check,
];

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The file.
    pub(crate) path: String,
    /// The line in it, from 1.
    pub(crate) line: usize,
    /// What was found.
    pub(crate) found: String,
    /// Why it is wrong and what to do.
    pub(crate) remedy: String,
}

impl Violation {
    /// A violation at `path:line`.
    pub(crate) fn new(
        path: impl Into<String>,
        line: usize,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), line, found: found.into(), remedy: remedy.into() }
    }
}

/// All violations of all rules, by place.
pub(crate) fn run(workspace: &Workspace) -> Vec<Violation> {
    let mut violations: Vec<_> = RULES.iter().flat_map(|rule| rule(workspace)).collect();
    violations.sort();
    violations.dedup();
    violations
}

/// Prints violations; success if there are none.
pub(crate) fn report(command: &str, workspace: &Workspace, violations: &[Violation]) -> ExitCode {
    for Violation { path, line, found, remedy } in violations {
        println!("{path}:{line}: {found}\n    {remedy}");
    }
    if violations.is_empty() {
        println!("{command}: nothing to object in {} files", workspace.files.len());
        ExitCode::SUCCESS
    } else {
        let plural = if violations.len() == 1 { "" } else { "s" };
        println!("{command}: {} violation{plural} in {} files", violations.len(), workspace.files.len());
        ExitCode::FAILURE
    }
}
