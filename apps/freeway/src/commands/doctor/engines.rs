//! The servers that answer for models in lanes: `[[serve.upstream]]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freeway_engines::{Engine, Retries, TextAssets, TokenServer, Upstream, UpstreamOptions};
use freeway_models::{Package, guide};
use freeway_node::NodeConfig;
use freeway_node::config::UpstreamConfig;
use tokio::time::timeout;

use super::finding::{Check, Finding};
use super::models;
use super::net;
use crate::commands::gateway::upstream_options;

/// How long a server may take for a token; a large model that was not asked for long is slow at first.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most models of a server's list that are named.
const MAX_NAMED: usize = 6;

/// What a server said about one of our models.
#[derive(Debug)]
struct Asked {
    url: String,
    ours: String,
    theirs: String,
    /// The models that it lists; or why it lists none.
    listed: Result<Vec<String>, String>,
    /// Whether it generates as hosts need it, with the likelihood of each token.
    generates: Result<(), String>,
    /// Whether it scores given tokens.
    scores: Result<bool, String>,
}

pub(super) async fn checks(config: &NodeConfig) -> Vec<Check> {
    let Some(serve) = &config.serve else {
        return vec![Check::new("engines", "upstream", Finding::none("no section [serve]"))];
    };
    if serve.upstream.is_empty() {
        return vec![Check::new("engines", "upstream", Finding::none("this machine answers by itself"))];
    }
    let pairs = serve.upstream.iter().flat_map(|upstream| {
        upstream.models.iter().map(move |(ours, theirs)| ask(upstream, ours, theirs, &serve.folder))
    });
    let asked = net::each(pairs).await;
    asked.into_iter().map(|asked| Check::new("engines", "upstream", judge(&asked))).collect()
}

async fn ask(config: &UpstreamConfig, ours: &str, theirs: &str, folder: &Path) -> Asked {
    let options = upstream_options(config)
        .map(|options| UpstreamOptions { retries: Retries { attempts: 1, ..Retries::default() }, ..options });
    let mut asked = Asked {
        url: net::shown(&config.url),
        ours: ours.to_owned(),
        theirs: theirs.to_owned(),
        listed: Err("not asked".into()),
        generates: Err("not asked".into()),
        scores: Err("not asked".into()),
    };
    let options = match options {
        Ok(options) => options,
        Err(problem) => {
            asked.listed = Err(problem.message().to_owned());
            return asked;
        }
    };
    let all = UpstreamOptions { models: Vec::new(), ..options.clone() };
    asked.listed = within(async {
        let upstream = Upstream::new(all).map_err(|error| error.to_string())?;
        let models = upstream.models().await.map_err(|error| error.message)?;
        Ok(models.into_iter().map(|model| model.name).collect())
    })
    .await;
    if asked.listed.is_err() {
        return asked;
    }
    let upstream = match Upstream::new(options) {
        Ok(upstream) => Arc::new(upstream),
        Err(error) => {
            asked.generates = Err(error.to_string());
            return asked;
        }
    };
    asked.generates = within(async {
        let (folder, ours) = (folder.to_owned(), ours.to_owned());
        let package = tokio::task::spawn_blocking(move || package(&folder, &ours));
        let package = package.await.map_err(|error| error.to_string())??;
        let server = TokenServer::new(Arc::clone(&upstream), &asked.ours, TextAssets::of_package(&package));
        server.map_err(|error| error.message)?.probe().await.map_err(|error| error.message)
    })
    .await;
    asked.scores =
        within(async { upstream.probe(ours).await.map(|can| can.can_score).map_err(|error| error.message) })
            .await;
    asked
}

async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || Err(format!("no answer in {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, work).await.unwrap_or_else(|_| late())
}

fn package(folder: &Path, model: &str) -> Result<Package, String> {
    if models::is_guide(model) {
        return Ok(guide::package());
    }
    let (library, entry) = models::entry(folder, model)?;
    library.package(&entry).map_err(|error| error.to_string())
}

fn judge(asked: &Asked) -> Finding {
    let Asked { url, ours, theirs, listed, generates, scores } = asked;
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            return Finding::failed(
                format!("{ours}: {url} does not answer: {error}"),
                "start the server, or correct `url` and `key_file` in [[serve.upstream]]; until then, paid requests fail",
            );
        }
    };
    if let Err(error) = generates {
        let unknown = !listed.is_empty() && !listed.contains(theirs);
        let names = listed.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
        return if unknown {
            Finding::failed(
                format!("{ours}: {url} has no model {theirs:?}"),
                format!("it has {names}; name one of them in `models` of [[serve.upstream]]"),
            )
        } else {
            Finding::failed(
                format!("{ours}: {url} does not answer as hosts need it: {error}"),
                "it must give log-probabilities with completions; see docs/protocol/statistical.md",
            )
        };
    }
    match scores {
        Ok(true) => Finding::ok(format!("{ours}: {url} generates {theirs}, and scores")),
        Ok(false) => Finding::ok(format!("{ours}: {url} generates {theirs}; the package here scores")),
        Err(error) => Finding::warning(
            format!("{ours}: {url} generates {theirs}, but could not be asked for scores: {error}"),
            "look into the server's log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn asked() -> Asked {
        Asked {
            url: "http://e/v1".into(),
            ours: "big".into(),
            theirs: "qwen".into(),
            listed: Ok(vec!["qwen".into(), "other".into()]),
            generates: Ok(()),
            scores: Ok(false),
        }
    }

    #[test]
    fn engines_are_judged() {
        assert_eq!(judge(&asked()).status, Status::Ok);
        let absent = judge(&Asked { listed: Err("refused".into()), ..asked() });
        assert!(absent.status == Status::Failed && absent.found.contains("refused"), "{absent:?}");
        let unknown = Asked { theirs: "x".into(), generates: Err("404".into()), ..asked() };
        assert!(judge(&unknown).remedy.unwrap().contains("qwen, other"));
        let poor = judge(&Asked { generates: Err("no logprobs".into()), ..asked() });
        assert!(poor.status == Status::Failed && poor.found.contains("no logprobs"));
        assert_eq!(judge(&Asked { scores: Err("late".into()), ..asked() }).status, Status::Warning);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_fails() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = UpstreamConfig {
            url: format!("http://{free}/v1"),
            key_file: None,
            models: [("guide".to_owned(), "theirs".to_owned())].into(),
        };
        let found = judge(&ask(&config, "guide", "theirs", Path::new("nowhere")).await);
        assert!(found.status == Status::Failed && found.found.contains("does not answer"), "{found:?}");
    }
}
