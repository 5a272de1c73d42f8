//! What nobody should send, sent over HTTP and by the command line.

use eyre::{Result, ensure, eyre};
use freeway::keystore::{KdfParams, Keystore, Passphrase};
use freeway_api::{Client, ClientError, OutcomeView};
use freeway_e2e::{Network, Plan, run_freeway, transfer, wait};
use freeway_ledger::Transaction;
use freeway_primitives::{Address, Amount, Canonical, ChainId, Digest, SecretKey};

use crate::http::{get, post, raw};
use crate::{SOON, turn};

fn one() -> Plan {
    Plan { hosts: 1, ..Plan::default() }
}

/// Fails unless the node refuses the transaction with this status and code, and says why in a sentence.
async fn refused(client: &Client, transaction: &Transaction, status: u16, code: &str) -> Result<()> {
    match client.submit(transaction).await {
        Err(ClientError::Api { status: got, detail }) => {
            ensure!(
                (got, detail.code.as_str()) == (status, code),
                "not {status} {code}, but {got} {detail:?}"
            );
            ensure!(detail.message.len() > 10, "{detail:?}");
            Ok(())
        }
        other => Err(eyre!("not {status} {code}, but {other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_transactions_get_their_codes_and_the_node_lives() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(one()).await?;
    let (client, chain) = (network.client(0)?, network.chain());
    wait::height(&client, 3, SOON).await?;
    let height = client.status().await?.height;
    let to = network.actor(1).address();
    let key = SecretKey::from_seed(*network.actor(0).key().seed());
    let make = |chain, sequence, expiry| transfer(&key, chain, sequence, expiry, to, Amount::fwy(1));

    refused(&client, &make(chain, 0, height - 2), 400, "expired").await?;
    refused(&client, &make(chain, 0, height + 100_000), 400, "expiry_too_far").await?;
    refused(&client, &make(chain, 100_000, height + 100), 409, "sequence_ahead").await?;
    let elsewhere = ChainId(Digest([7; 32]));
    refused(&client, &make(elsewhere, 0, height + 100), 400, "wrong_chain").await?;
    let mut forged = make(chain, 0, height + 100);
    forged.signature.0[5] ^= 1;
    refused(&client, &forged, 400, "bad_signature").await?;
    let mut altered = make(chain, 0, height + 100);
    altered.body.sequence = 1;
    refused(&client, &altered, 400, "bad_signature").await?;

    let good = make(chain, 0, height + 100);
    let twice = client.submit_many(&[good.encode(), good.encode()]).await?;
    ensure!(twice[0].is_ok() && twice[1].as_ref().is_err_and(|error| error.code == "duplicate"), "{twice:?}");
    let paid = client.wait_for_transaction(&good.hash(), SOON).await?;
    ensure!(paid.outcome == Some(OutcomeView::Done), "{paid:?}");
    refused(&client, &good, 409, "sequence_used").await?;

    // More than there is: it stands in a block, moves nothing, and uses its number.
    let greedy = transfer(&key, chain, 1, height + 100, to, Amount::fwy(1_000_000));
    let hash = client.submit(&greedy).await?;
    let failed = client.wait_for_transaction(&hash, SOON).await?;
    let failure = failed.failure.ok_or_else(|| eyre!("it did not fail"))?;
    ensure!(
        failed.outcome == Some(OutcomeView::Failed) && failure.code == "insufficient_balance",
        "{failure:?}"
    );
    let account = client.account(&network.actor(0).address()).await?;
    ensure!(account.balance == Amount::fwy(999) && account.committed_sequence == 2, "{account:?}");

    // Somebody without an account, who can send one transaction an epoch, and no more.
    let stranger = SecretKey::from_seed([9; 32]);
    let nothing = |sequence| transfer(&stranger, chain, sequence, height + 100, to, Amount(1));
    client.submit(&nothing(0)).await?;
    let many: Vec<_> = (1..20).map(|sequence| nothing(sequence).encode()).collect();
    let answers = client.submit_many(&many).await?;
    let limited =
        |error: &freeway_api::ErrorDetail| ["quota_exceeded", "no_free_place"].contains(&error.code.as_str());
    ensure!(answers.iter().all(|answer| answer.as_ref().is_err_and(limited)), "{answers:?}");

    network.check_conservation(&client).await?;
    wait::more_blocks(&client, 2, SOON).await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_their_status_and_the_node_lives() -> Result<()> {
    let _turn = turn().await;
    let network = Network::start(one()).await?;
    let client = network.client(0)?;
    let at = network.nodes()[0].config()?.rpc.listen;
    const JSON: &str = "application/json";
    const BYTES: &str = "application/octet-stream";
    const SUBMIT: &str = "/v1/transactions";

    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"transaction\":\"{}\"}}", "00".repeat(33 << 10));
    let cases: [(&str, &[u8], u16, &str); 12] = [
        (JSON, b"", 400, "bad_json"),
        (JSON, b"{", 400, "bad_json"),
        (JSON, nested.as_bytes(), 400, "bad_json"),
        (JSON, b"{\"transaction\":\"zz\"}", 400, "bad_parameter"),
        (JSON, b"{\"transaction\":\"00\"}", 400, "malformed"),
        (JSON, b"{\"transaction\":\"00\",\"colour\":1}", 400, "bad_json"),
        (JSON, long.as_bytes(), 400, "too_large"),
        (BYTES, b"", 400, "bad_borsh"),
        (BYTES, b"\xff\xff\xff\xff", 400, "bad_count"),
        (BYTES, b"\x01\x00\x00\x00\xff\xff\xff\xff", 400, "bad_borsh"),
        ("text/plain", b"hello", 415, "unsupported_media_type"),
        (BYTES, &vec![0; 9 << 20], 413, "body_too_large"),
    ];
    for (content, body, status, code) in cases {
        let answer = post(at, SUBMIT, content, body).await?;
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        ensure!((answer.status, answer.code()) == (status, code), "{content} {start:?}: {answer:?}");
    }
    for (path, status) in [
        ("/nothing", 404),
        ("/v1/blocks/x", 400),
        ("/v1/blocks/18446744073709551615", 404),
        ("/v1/blocks/18446744073709551616", 400),
        ("/v1/accounts/fwy1nobody", 400),
        ("/v1/transactions/00", 400),
        ("/v1/status?colour=1", 400),
        ("/v1/snapshots/1/chunks/99999", 404),
        ("/v1/proofs/zz", 400),
    ] {
        let answer = get(at, path).await?;
        ensure!(answer.status == status && answer.code() != "none", "{path}: {answer:?}");
    }
    for nonsense in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"\r\n\r\n\r\n\r\n",
    ] {
        let answer = raw(at, nonsense).await?;
        ensure!(!answer.contains(" 200 ") && !answer.contains(" 500 "), "{answer}");
    }
    wait::more_blocks(&client, 2, SOON).await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_to_do() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(one()).await?;
    let rpc = network.client(0)?.url().to_owned();
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    let keystore = Keystore::open(&keys)?;
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "quiet orbits of lanterns\n")?;
    std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let secret = Passphrase::new("quiet orbits of lanterns")?;
    let poor = SecretKey::from_seed([0x77; 32]);
    let kdf = KdfParams::new(1, 1, 1)?;
    keystore.create(&"poor".parse()?, &poor, None, &secret, kdf)?;
    let rich = SecretKey::from_seed(*network.actor(0).key().seed());
    keystore.create(&"rich".parse()?, &rich, None, &secret, kdf)?;
    let to = Address::of(&poor.public()).to_string();

    let (keys, passphrase) = (keys.to_string_lossy().into_owned(), passphrase.to_string_lossy().into_owned());
    let run = |args: &[&str]| {
        let mut all = vec!["--json", "--keys", &keys, "--passphrase-file", &passphrase, "--rpc", &rpc];
        all.extend_from_slice(args);
        run_freeway(all.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    for (args, exit) in [
        (&["send", "--from", "poor", "rich", "5"][..], 1),
        (&["send", "--from", "rich", "fwy1nobody", "5"], 1),
        (&["send", "--from", "nobody", &to, "5"], 1),
        (&["send", "--from", "rich", &to, "-5"], 2),
        (&["send", "--from", "rich", &to, "0.0000000001"], 2),
        (&["send", "--from", "rich", &to, "1000000000000"], 1),
        (&["block", "99999999"], 1),
        (&["transaction", "00"], 2),
        (&["colour"], 2),
    ] {
        let ran = run(args).await?;
        let shown = format!("{args:?}: {ran:?}");
        ensure!(ran.status.code() == Some(exit) || (exit == 1 && ran.status.code() == Some(2)), "{shown}");
        let error = ran.error().map_err(|error| eyre!("{shown}: {error}"))?;
        ensure!(error["message"].as_str().is_some_and(|message| message.len() > 5), "{shown}");
        ensure!(!shown.contains("panicked") && !shown.contains("lanterns"), "{shown}");
    }
    let sent = run(&["send", "--from", "rich", "poor", "5"]).await?.json()?;
    ensure!(sent.is_object(), "{sent}");
    let nobody = run_freeway(["status", "--json", "--rpc", "http://127.0.0.1:9"]).await?.error()?;
    ensure!(nobody["code"] == "unreachable" && nobody["hint"].is_string(), "{nobody}");
    network.stop().await
}
