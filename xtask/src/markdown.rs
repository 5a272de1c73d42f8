//! As much of Markdown as the rules need: fenced blocks, headings and links, line by line.

/// A fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// What stands behind the fence, such as `sh`.
    pub(crate) language: &'a str,
    /// Its lines with their numbers, from 1.
    pub(crate) lines: Vec<(usize, &'a str)>,
}

/// The text outside fenced blocks, line by line, and the blocks.
#[derive(Debug, Default)]
pub(crate) struct Page<'a> {
    /// Lines of text with their numbers, from 1.
    pub(crate) text: Vec<(usize, &'a str)>,
    /// Fenced blocks in their order.
    pub(crate) blocks: Vec<Block<'a>>,
}

impl<'a> Page<'a> {
    /// Reads a page.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut page = Self::default();
        let mut open: Option<(&str, Block<'a>)> = None;
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
            let trimmed = line.trim_start();
            open = match open {
                Some((fence, block)) if trimmed.starts_with(fence) => {
                    page.blocks.push(block);
                    None
                }
                Some((fence, mut block)) => {
                    block.lines.push((number, line));
                    Some((fence, block))
                }
                None => match ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence)) {
                    Some(fence) => {
                        let language = trimmed.trim_start_matches(['`', '~']).trim();
                        Some((fence, Block { language, lines: Vec::new() }))
                    }
                    None => {
                        page.text.push((number, line));
                        None
                    }
                },
            };
        }
        page.blocks.extend(open.map(|(_, block)| block));
        page
    }

    /// The targets of all links and images, with their lines.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in &self.text {
            let line = without_code(line);
            for (at, _) in line.match_indices("](") {
                let rest = &line[at + 2..];
                if let Some(end) = rest.find(')') {
                    // A title may follow the target.
                    let target = rest[..end].split_whitespace().next().unwrap_or_default();
                    links.push((*number, target.trim_matches(['<', '>']).to_owned()));
                }
            }
            if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
                links.push((*number, target.trim().to_owned()));
            }
            for (at, _) in line.match_indices("src=\"") {
                let rest = &line[at + 5..];
                links.extend(rest.split_once('"').map(|(target, _)| (*number, target.to_owned())));
            }
        }
        links
    }

    /// The anchors of all headings, as GitHub and mdBook make them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in &self.text {
            let title = line.trim_start_matches('#');
            let depth = line.len() - title.len();
            if !(1..=6).contains(&depth) || !title.starts_with(' ') {
                continue;
            }
            let plain = slug(title.trim());
            let mut anchor = plain.clone();
            let mut again = 0;
            while anchors.contains(&anchor) {
                again += 1;
                anchor = format!("{plain}-{again}");
            }
            anchors.push(anchor);
        }
        anchors
    }
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    // An odd last backtick opens nothing.
    if line.matches('`').count() % 2 == 1 {
        return line.to_owned();
    }
    line.split('`').step_by(2).collect::<Vec<_>>().join("` `")
}

/// The anchor of a title.
fn slug(title: &str) -> String {
    let mut text = String::new();
    let mut rest = title;
    // Of a link only its text stands in the heading.
    while let Some((before, behind)) = rest.split_once("](") {
        text.push_str(before);
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    let kept = text.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_no_text() {
        let page = Page::new("a\n```sh\n# no heading [x](y)\n```\nb\n  ~~~\n```\n  ~~~\nc");
        assert_eq!(page.text, [(1, "a"), (5, "b"), (9, "c")]);
        let blocks: Vec<_> = page.blocks.iter().map(|block| (block.language, block.lines.len())).collect();
        assert_eq!(blocks, [("sh", 1), ("", 1)]);
        assert_eq!(Page::new("```\nopen").blocks.len(), 1);
    }

    #[test]
    fn links_are_found_and_code_is_not() {
        let page =
            Page::new("[a](b.md) ![i](c.svg \"title\") `[x](y)` [d](<e.md>)\n[r]: f.md\n<img src=\"g.svg\">");
        let links: Vec<_> = page.links().into_iter().map(|(_, target)| target).collect();
        assert_eq!(links, ["b.md", "c.svg", "e.md", "f.md", "g.svg"]);
        assert_eq!(Page::new("an odd ` and [a](b.md)").links().len(), 1);
    }

    #[test]
    fn anchors_are_those_of_github() {
        let page = Page::new(
            "# One: two, three!\n## `node init`\n## [A](b.md) and C_d\n#no\n## One two three\n# One: two, three!",
        );
        assert_eq!(
            page.anchors(),
            ["one-two-three", "node-init", "a-and-c_d", "one-two-three-1", "one-two-three-2"]
        );
    }
}
