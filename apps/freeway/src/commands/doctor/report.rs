//! All findings, for people and for programs.

use serde::Serialize;

use super::finding::{Check, Status};
use crate::output::{Page, Show};

/// What was found.
#[derive(Debug)]
pub(super) struct Report {
    checks: Vec<Check>,
}

/// The same as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    checks: &'a [Check],
    ok: bool,
    /// Whether people see what is well too, where several nodes are looked at.
    #[serde(skip)]
    all: bool,
}

impl Report {
    pub(super) const fn new(checks: Vec<Check>) -> Self {
        Self { checks }
    }

    /// How many checks failed.
    pub(super) fn failed(&self) -> usize {
        count(&self.checks, Status::Failed)
    }

    pub(super) fn shown(&self, all: bool) -> Shown<'_> {
        Shown { checks: &self.checks, ok: self.failed() == 0, all }
    }
}

fn count<'a>(checks: impl IntoIterator<Item = &'a Check>, status: Status) -> usize {
    checks.into_iter().filter(|check| check.status == status).count()
}

/// A mark that needs no colour and no special font.
const fn mark(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warning => "WARN",
        Status::Failed => "FAIL",
        Status::NotApplicable => "-",
    }
}

impl Show for Shown<'_> {
    fn show(&self, page: &mut Page) {
        let width = self.checks.iter().map(|check| name(check).chars().count()).max().unwrap_or_default();
        let line = |page: &mut Page, check: &Check| {
            page.line(format_args!(
                "  {:4}  {:width$}  {}",
                mark(check.status),
                name(check),
                one_line(&check.found)
            ));
            for remedy in check.remedy.iter().flat_map(|remedy| remedy.lines()) {
                page.line(format_args!("        {:width$}  -> {remedy}", ""));
            }
        };
        let mut heads = Vec::new();
        for check in self.checks {
            let head = (check.node.as_deref(), check.group);
            // Several nodes: a head for each, with what is not well alone.
            let head = if check.node.is_some() { (check.node.as_deref(), "") } else { head };
            if !heads.contains(&head) {
                heads.push(head);
            }
        }
        for (at, head) in heads.iter().enumerate() {
            let (node, group) = *head;
            let here: Vec<&Check> = self
                .checks
                .iter()
                .filter(|check| check.node.as_deref() == node && (group.is_empty() || check.group == group))
                .collect();
            if at > 0 {
                page.gap();
            }
            page.line(node.unwrap_or(group));
            let folded = node.is_some() && !self.all;
            let is_shown =
                |check: &&&Check| !folded || matches!(check.status, Status::Warning | Status::Failed);
            here.iter().filter(is_shown).for_each(|check| line(page, check));
            if folded {
                let well = count(here.iter().copied(), Status::Ok);
                let none = count(here.iter().copied(), Status::NotApplicable);
                page.line(format_args!("  ok    {well} checks; {none} do not apply; --verbose shows them"));
            }
        }
        page.gap();
        let of = |status| count(self.checks, status);
        page.line(format_args!(
            "{} ok, {} warnings, {} failed, {} not applicable",
            of(Status::Ok),
            of(Status::Warning),
            of(Status::Failed),
            of(Status::NotApplicable)
        ));
    }
}

/// The check's name as people see it.
fn name(check: &Check) -> String {
    let short = check.id.strip_prefix(check.group).and_then(|rest| rest.strip_prefix('.'));
    let short = if check.node.is_some() { None } else { short };
    short.unwrap_or(&check.id).replace('_', " ")
}

/// Errors of parsers have several lines.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Finding;
    use super::*;

    fn page(checks: Vec<Check>, all: bool) -> String {
        let mut page = Page::default();
        Report::new(checks).shown(all).show(&mut page);
        page.into_text()
    }

    fn checks() -> Vec<Check> {
        vec![
            Check::new("disk", "space", Finding::failed("nearly full\n\x1b[2J", "make room\nor move")),
            Check::new("disk", "sync", Finding::ok("2 ms")),
            Check::new("host", "url", Finding::none("no host")),
        ]
    }

    #[test]
    fn people_see_groups_marks_and_remedies() {
        assert_eq!(
            page(checks(), false),
            "disk\n  FAIL  space  nearly full / \u{fffd}[2J\n               -> make room\n               -> or move\n  \
             ok    sync   2 ms\n\nhost\n  -     url    no host\n\n1 ok, 0 warnings, 1 failed, 1 not applicable\n"
        );
    }

    #[test]
    fn of_several_nodes_people_see_what_is_not_well() {
        let of_node =
            |name: &str| checks().into_iter().map(move |check| check.of(Some(name))).collect::<Vec<_>>();
        let all: Vec<Check> = ["host-1", "host-2"].iter().flat_map(|name| of_node(name)).collect();
        let folded = page(all.clone(), false);
        assert!(folded.contains("host-2\n  FAIL  disk.space"), "{folded}");
        assert!(!folded.contains("disk.sync") && folded.contains("1 checks; 1 do not apply"), "{folded}");
        assert!(page(all, true).contains("disk.sync"));
    }

    #[test]
    fn programs_see_everything() {
        let report = Report::new(checks());
        let json = serde_json::to_value(report.shown(false)).unwrap();
        assert_eq!((&json["ok"], report.failed()), (&false.into(), 1));
        assert_eq!(
            json["checks"][1],
            serde_json::json!({"id": "disk.sync", "group": "disk", "status": "ok", "found": "2 ms", "remedy": null})
        );
        assert_eq!(json["checks"][2]["status"], "not_applicable");
    }
}
