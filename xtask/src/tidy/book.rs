//! Every page below `docs/` is a chapter of the book.

use std::collections::BTreeMap;

use crate::markdown::Page;
use crate::tidy::Violation;
use crate::workspace::Workspace;

const FOLDER: &str = "docs/";
/// The table of contents.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Compares the pages with the table of contents.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let pages = workspace
        .files
        .iter()
        .filter(|file| file.path.starts_with(FOLDER) && file.path.ends_with(".md") && file.path != SUMMARY);
    let Some(summary) = workspace.file(SUMMARY) else {
        let remedy = "write one that names every page: it is the table of contents of the book";
        return pages
            .take(1)
            .map(|_| Violation::new(SUMMARY, 1, format!("there is no {SUMMARY}"), remedy))
            .collect();
    };
    let mut violations = Vec::new();
    let mut chapters: BTreeMap<String, usize> = BTreeMap::new();
    for (line, target) in Page::new(&summary.text).links() {
        if let Some(first) = chapters.insert(format!("{FOLDER}{target}"), line) {
            violations.push(Violation::new(
                SUMMARY,
                line,
                format!("`{target}` is a chapter twice, first in line {first}"),
                "remove one: a page has one place in the book",
            ));
        }
    }
    violations.extend(pages.filter(|page| !chapters.contains_key(&page.path)).map(|page| {
        Violation::new(
            &page.path,
            1,
            format!("not in {SUMMARY}"),
            "give it a place there, or it is not in the book",
        )
    }));
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(summary: &str) -> Vec<String> {
        let files = [
            (SUMMARY, summary),
            ("docs/a.md", ""),
            ("docs/b/c.md", ""),
            ("README.md", ""),
            ("docs/x.svg", ""),
        ];
        check(&Workspace::of(&files)).into_iter().map(|violation| violation.found).collect()
    }

    #[test]
    fn every_page_has_one_place() {
        assert_eq!(found("[A](a.md)\n- [C](b/c.md)"), Vec::<String>::new());
        assert_eq!(found("[A](a.md)"), ["not in docs/SUMMARY.md"]);
        assert_eq!(found("[A](a.md) [A](a.md) [C](b/c.md)").len(), 1);
        assert_eq!(check(&Workspace::of(&[("docs/a.md", "")])).len(), 1);
        assert_eq!(check(&Workspace::of(&[("README.md", "")])).len(), 0);
    }
}
