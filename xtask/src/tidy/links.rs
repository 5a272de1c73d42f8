//! Links between documents lead somewhere, anchors included.

use std::collections::BTreeMap;

use crate::markdown::Page;
use crate::tidy::Violation;
use crate::workspace::{File, Workspace};

/// The folder of the book. What is built from it knows nothing outside.
const BOOK: &str = "docs/";

/// Checks every relative link of every Markdown file.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let pages: BTreeMap<&str, Page<'_>> = workspace
        .files
        .iter()
        .filter(|file| is_page(&file.path))
        .map(|file| (&*file.path, page(file)))
        .collect();
    let mut violations = Vec::new();
    for (path, page) in &pages {
        for (line, target) in page.links() {
            if let Some((found, remedy)) = fault(workspace, &pages, path, &target) {
                violations.push(Violation::new(*path, line, found, remedy));
            }
        }
    }
    violations
}

fn is_page(path: &str) -> bool {
    path.ends_with(".md")
}

fn page(file: &File) -> Page<'_> {
    Page::new(&file.text)
}

/// What is wrong with a link, and what to do.
fn fault(
    workspace: &Workspace,
    pages: &BTreeMap<&str, Page<'_>>,
    from: &str,
    target: &str,
) -> Option<(String, &'static str)> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let Some(path) = resolve(from, path) else {
        return Some((
            format!("the link `{target}` leaves the tree"),
            "name a place in the tree, or a full URL",
        ));
    };
    if from.starts_with(BOOK) && !path.starts_with(BOOK) {
        return Some((
            format!("the link `{target}` leaves the book"),
            "write the path as code: in the book that is built from docs/ the link would lead nowhere",
        ));
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let exists = workspace.file(&path).is_some();
    if !exists && !workspace.files.iter().any(|file| file.path.starts_with(&folder)) {
        return Some((format!("the link `{target}` leads nowhere"), "there is no such file or folder"));
    }
    if !exists && from.starts_with(BOOK) {
        return Some((
            format!("the link `{target}` leads to a folder"),
            "a book has no page for a folder: name a page in it",
        ));
    }
    let anchor = anchor?;
    let known = pages.get(&*path)?.anchors().iter().any(|known| known == anchor);
    (!known)
        .then(|| (format!("the link `{target}` leads to no heading"), "compare it with the headings there"))
}

/// A path from the root for one that counts from the folder of `from`.
fn resolve(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(from: &str, text: &str) -> Vec<String> {
        let files = [(from, text), ("docs/other/b.md", "# B\n## Two words"), ("deploy/x.service", "")];
        check(&Workspace::of(&files)).into_iter().map(|violation| violation.found).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text =
            "# A title\n[b](other/b.md) [c](other/b.md#two-words) [d](#a-title) [e](https://example.org/x#y)";
        assert_eq!(found("docs/a.md", text), Vec::<String>::new());
        assert_eq!(found("README.md", "[d](deploy) [e](./docs/other/)"), Vec::<String>::new());
        assert_eq!(found("docs/other/a.md", "[d](../other/b.md)"), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for (text, what) in [
            ("[b](b.md)", "leads nowhere"),
            ("[b](other/b.md#three)", "no heading"),
            ("[b](#none)", "no heading"),
            ("[b](other)", "a folder"),
            ("[b](../deploy/x.service)", "leaves the book"),
            ("[b](../../x)", "leaves the tree"),
        ] {
            let found = found("docs/a.md", text);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
    }
}
