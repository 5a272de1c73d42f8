//! The book: every command on its pages is given, in the order of the page, and its output compared.

use std::path::{Path, PathBuf};

use eyre::{Result, ensure};
use freeway_e2e::book::{Action, Page, Reader};

use crate::turn;

/// Pages that one reader goes through on one machine, one after the other: they share a network.
const ONE_MACHINE: [&str; 9] = [
    "docs/guide/start.md",
    "docs/guide/developers.md",
    "docs/lanes.md",
    "docs/passes.md",
    "docs/operating.md",
    "docs/how/proof.md",
    "docs/how/beacon.md",
    "docs/how/checks.md",
    "docs/how/money.md",
];
/// Pages about networks over several machines, each with machines of its own.
const SEVERAL_MACHINES: [&str; 3] = ["README.md", "docs/guide/hosts.md", "docs/guide/operators.md"];
/// Pages whose commands are for contributors and run for minutes or hours, or change the tree.
const NOT_READ: [&str; 3] = ["docs/benchmarks.md", "docs/testing.md", "docs/reference/cli.md"];
/// Blocks that are not run, by pages on one machine and on several. Each says why; a change of these numbers is a decision.
const NOT_RUN: (usize, usize) = (3, 3);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(page: &str) -> Result<String> {
    Ok(std::fs::read_to_string(root().join(page))?)
}

#[allow(clippy::print_stderr, reason = "what is not run is told")]
async fn read(reader: &mut Reader, pages: &[&str]) -> Result<()> {
    for page in pages {
        let before = reader.not_run().len();
        reader.read(page, &text(page)?).await?;
        for told in &reader.not_run()[before..] {
            eprintln!("not run: {told}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn its_pages_work_on_one_machine() -> Result<()> {
    let _turn = turn().await;
    let mut reader = Reader::new().await?;
    read(&mut reader, &ONE_MACHINE).await?;
    let not_run = reader.not_run().len();
    reader.close().await?;
    ensure!(not_run == NOT_RUN.0, "{not_run} blocks were not run, {} are known", NOT_RUN.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn its_pages_work_over_several_machines() -> Result<()> {
    let _turn = turn().await;
    let mut not_run = 0;
    for page in SEVERAL_MACHINES {
        let mut reader = Reader::new().await?;
        if !reader.isolates() {
            reader.close().await?;
            return Ok(());
        }
        read(&mut reader, &[page]).await?;
        not_run += reader.not_run().len();
        reader.close().await?;
    }
    ensure!(not_run == NOT_RUN.1, "{not_run} blocks were not run, {} are known", NOT_RUN.1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_lies_is_found() -> Result<()> {
    let mut reader = Reader::new().await?;
    let honest = "```sh\nexport WORD=here\nmkdir x && cd x\n```\n```console\n$ echo it is $WORD, `basename $PWD`\nit is here, x\n$ freeway --version\n\
                  freeway 0.0.0\n```\n<!-- run: fails -->\n```sh\nfreeway status\n```\n<!-- run: until \"333\" -->\n```sh\nprintf 3 >>n && cat n\n```\n\
                  <!-- run: background until \"up\" -->\n```sh\nsh -c 'trap \"echo bye; exit 0\" INT; echo up; while :; do sleep 0.1; done'\n```\n\
                  ```console\n^C\nbye\n```\n```json\n{\"a\": 1}\n```\n```python\nassert 1 + 1 == 2\n```\n<!-- not run: no time -->\n```sh\nfalse\n```\n";
    reader.read("honest.md", honest).await?;
    ensure!(reader.not_run() == ["honest.md:34: no time"], "{:?}", reader.not_run());
    for lie in [
        "```console\n$ echo one two\none three\n```\n",
        "```sh\nfalse\n```\n",
        "<!-- run: fails -->\n```sh\ntrue\n```\n",
        "<!-- run: background until \"up\" -->\n```sh\necho down\n```\n",
        "```console\n$ true\n^C\n```\n",
        "```sh\necho PASS\n```\n",
        "```json\n{a: 1}\n```\n",
        "```python\nimport openai\n```\n",
        // Variables and folders are those of one page.
        "```sh\ntest -n \"$WORD\"\n```\n",
    ] {
        ensure!(reader.read("lie.md", lie).await.is_err(), "{lie}");
    }
    if reader.isolates() {
        let two = "```sh\nip -4 addr show dev eth0 | grep 192.168.1.10/\n```\n<!-- machine: b -->\n```sh\nip route get 192.168.1.10 | grep 'src 192.168.1.11'\n```\n\
                   <!-- run: fails -->\n```sh\nip route get 8.8.8.8\n```\n";
        reader.read("two.md", two).await?;
    }
    reader.close().await
}

#[test]
fn every_page_with_commands_is_read() -> Result<()> {
    let mut pages = vec![PathBuf::from("README.md")];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    let known: Vec<&str> = ONE_MACHINE.iter().chain(&SEVERAL_MACHINES).chain(&NOT_READ).copied().collect();
    for page in pages {
        let name = page.to_string_lossy().replace('\\', "/");
        if known.contains(&name.as_str()) {
            continue;
        }
        let steps = Page::parse(&text(&name)?)?.steps;
        let commands = steps.iter().filter(|step| !matches!(step.action, Action::Code { .. })).count();
        ensure!(
            commands == 0,
            "{name} has {commands} commands that nobody runs; add it to a list in this file"
        );
    }
    Ok(())
}
