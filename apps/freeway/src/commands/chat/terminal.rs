//! A conversation at a terminal: lines are edited, remembered, and some of them are commands.

use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use super::session::Session;
use crate::commands::asking::Gateway;
use crate::hints::Problem;
use crate::output::Output;

/// Lines that are remembered.
const HISTORY: usize = 1_000;

const HELP: &str = "\
/stats          tokens and times of the last answer and of all
/receipt        what the host was paid for the last answer, and how to check it
/clear          begin a new conversation
/system TEXT    tell the model something beforehand; without text, nothing
/quit           leave; so does Ctrl-D. Ctrl-C ends an answer";

/// Talks until the user leaves.
pub(super) async fn talk(
    mut session: Session,
    gateway: Gateway,
    history: PathBuf,
    output: Output,
) -> Result<(), Problem> {
    output.note(format!("{} answers. /help lists what else can be typed; Ctrl-D leaves.", session.model()));
    let mut editor = editor(&history)?;
    loop {
        // Reading blocks a thread, and the editor comes back from it.
        let (returned, read) = tokio::task::spawn_blocking(move || {
            let read = editor.readline("> ");
            (editor, read)
        })
        .await
        .map_err(|error| Problem::new("defect", format!("the line editor stopped: {error}")))?;
        editor = returned;
        let line = match read {
            Ok(line) => line.trim().to_owned(),
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Problem::new("terminal", format!("lines cannot be read: {error}"))),
        };
        if line.is_empty() {
            continue;
        }
        // That a line is not remembered harms nobody.
        let _ = editor.add_history_entry(&line);
        match line.split_once(' ').map_or((line.as_str(), ""), |(word, rest)| (word, rest.trim())) {
            ("/quit" | "/exit", _) => break,
            ("/help", _) => output.note(HELP),
            ("/clear", _) => session.clear(),
            ("/system", text) => session.set_system((!text.is_empty()).then(|| text.to_owned())),
            ("/stats", _) => stats(&session, output)?,
            ("/receipt", _) => receipt(&session, &gateway, output).await?,
            (word, _) if word.starts_with('/') && word.len() > 1 => {
                output.note(format!("there is no command {word}; /help lists them"));
            }
            _ => ask(&mut session, &line, output).await?,
        }
    }
    save(&mut editor, &history);
    Ok(())
}

async fn ask(session: &mut Session, line: &str, output: Output) -> Result<(), Problem> {
    let answered = tokio::select! {
        answered = session.ask(line, |text| output.text(text)) => answered,
        _ = tokio::signal::ctrl_c() => {
            output.text("\n")?;
            output.note("interrupted; the answer is not part of the conversation");
            return Ok(());
        }
    };
    output.text("\n")?;
    match answered {
        Ok(answer) => {
            if answer.finish_reason.as_deref() == Some("length") {
                output.note("(the answer ends here because it was long enough)");
            }
            if let Some(line) = answer.receipt_line() {
                output.aside(line);
            }
            Ok(())
        }
        Err(problem) if problem.exit() == crate::hints::Exit::Closed => Err(problem),
        // The conversation goes on.
        Err(problem) => {
            output.note(&problem);
            Ok(())
        }
    }
}

/// Everything about the receipt of the last answer.
async fn receipt(session: &Session, gateway: &Gateway, output: Output) -> Result<(), Problem> {
    let Some(last) = &session.last else {
        output.note("nothing was asked yet");
        return Ok(());
    };
    let Some(digest) = last.receipt() else {
        output.note("the last answer has no receipt: the gateway answered by itself, and nobody was paid");
        return Ok(());
    };
    match gateway.receipt(&digest).await {
        Ok(kept) => {
            let mut page = crate::output::Page::default();
            crate::commands::receipt::fields(&mut page, &kept);
            output.raw(page.into_text().as_bytes())
        }
        // The conversation goes on.
        Err(problem) => {
            output.note(&problem);
            Ok(())
        }
    }
}

fn stats(session: &Session, output: Output) -> Result<(), Problem> {
    let Some(last) = &session.last else {
        output.note("nothing was asked yet");
        return Ok(());
    };
    let totals = session.totals;
    let mut page = crate::output::Page::default();
    let field = |name: &str| last.freeway[name].as_str().unwrap_or_default().to_owned();
    page.fields([
        ("first token", format!("{} ms", last.first_token_ms)),
        ("pace", format!("{:.1} tokens/s", last.pace())),
        ("last answer", format!("{} tokens in, {} out", last.prompt_tokens, last.completion_tokens)),
        (
            "all",
            format!(
                "{} answers, {} tokens in, {} out",
                totals.answers, totals.prompt_tokens, totals.completion_tokens
            ),
        ),
        ("model", field("model_root")),
        ("seed", field("seed")),
        ("trace", field("trace")),
    ]);
    output.raw(page.into_text().as_bytes())
}

fn editor(history: &std::path::Path) -> Result<Editor<(), FileHistory>, Problem> {
    let failed = |error: ReadlineError| Problem::new("terminal", format!("lines cannot be edited: {error}"));
    let config = Config::builder().max_history_size(HISTORY).map_err(failed)?.build();
    let mut editor = Editor::with_config(config).map_err(failed)?;
    // There is none the first time.
    let _ = editor.load_history(history);
    Ok(editor)
}

/// Keeps what was typed, readable by its owner only.
fn save(editor: &mut Editor<(), FileHistory>, history: &std::path::Path) {
    if editor.save_history(history).is_ok() {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = std::fs::set_permissions(history, std::fs::Permissions::from_mode(0o600));
        }
    }
}
