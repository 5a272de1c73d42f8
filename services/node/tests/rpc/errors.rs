//! What is not an answer: wrong paths, methods and parameters, and clients without a node. And the description of
//! it all.

use std::collections::BTreeSet;

use freeway_api::{Client, ClientError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Served, error_of};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_told_what_is_wrong() {
    let served = Served::new().await;
    for (path, status, code, named) in [
        ("/", 404, "not_found", "nothing"),
        ("/v2/status", 404, "not_found", "/v2/status"),
        ("/v1/status/", 404, "not_found", "/v1/status/"),
        ("/v1/blocks/x", 400, "bad_parameter", "height"),
        ("/v1/blocks/-1", 400, "bad_parameter", "height"),
        ("/v1/blocks/99999999999999999999", 400, "bad_parameter", "height"),
        ("/v1/blocks?limit=0", 400, "bad_parameter", "limit"),
        ("/v1/blocks?limit=101", 400, "bad_parameter", "limit"),
        ("/v1/blocks?form=1", 400, "bad_query", "form"),
        ("/v1/status?verbose=1", 400, "bad_query", "verbose"),
        ("/v1/accounts/fwy1nobody", 400, "bad_parameter", "address"),
        ("/v1/accounts/%FF", 400, "bad_path", ""),
        ("/v1/hosts?after=x", 400, "bad_parameter", "after"),
        ("/v1/hosts?limit=1001", 400, "bad_parameter", "limit"),
        ("/v1/validators?height=now", 400, "bad_parameter", "height"),
        ("/v1/sprint?x=1", 400, "bad_query", "x"),
        ("/v1/sprint/hosts?limit=201", 400, "bad_parameter", "limit"),
        ("/v1/sprint/results?after=x", 400, "bad_parameter", "after"),
        ("/v1/weights?limit=0", 400, "bad_parameter", "limit"),
        ("/v1/beacon/latest", 400, "bad_parameter", "height"),
        ("/v1/beacon/1?x=1", 400, "bad_query", "x"),
        ("/v1/transactions/12", 400, "bad_parameter", "hash"),
        ("/v1/proofs/xyz", 400, "bad_parameter", "key"),
        ("/v1/events?from=x", 400, "bad_parameter", "from"),
    ] {
        let (got, error) = served.refused(path).await;
        assert_eq!((got, error.code.as_str()), (status, code), "{path}: {error}");
        assert!(error.message.contains(named), "{path}: {error}");
    }
    let hash = "00".repeat(32);
    for wait in ["60001", "1s"] {
        let (status, error) = served.refused(&format!("/v1/transactions/{hash}?wait={wait}")).await;
        assert_eq!(status, 400);
        assert!(error.message.contains("wait"), "{error}");
    }
    let (status, error) = served.refused(&format!("/v1/proofs/{}", "00".repeat(1_025))).await;
    assert_eq!(status, 400, "{error}");
    let (_, error) = served.refused("/nowhere").await;
    assert!(error.hint.unwrap().contains("/openapi.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_origins_are_kept_apart() {
    let served = Served::new().await;
    let http = reqwest::Client::new();
    let response = http.delete(format!("{}/v1/status", served.url)).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert!(response.headers().contains_key("allow"));
    assert_eq!(error_of(&response.text().await.unwrap()).code, "method_not_allowed");
    let response =
        http.get(format!("{}/v1/status", served.url)).header("Origin", "http://evil").send().await.unwrap();
    assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_off_harms_nobody() {
    let served = Served::new().await;
    let address = served.url.trim_start_matches("http://");
    for fragment in ["", "GET", "GET /v1/status HTTP/1.1\r\nHost: x\r\n", "\0\0\0\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(fragment.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let half = "POST /v1/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(half.as_bytes()).await.unwrap();
    drop(stream);
    served.client.status().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_what_to_do() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&url).unwrap();
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("freeway up") && text.contains("--rpc"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    for url in ["", "127.0.0.1:1", "https://example.org", "ftp://x", "http://", "http://x?y=1"] {
        assert!(matches!(Client::new(url), Err(ClientError::BadUrl { .. })), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_that_answers_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let other = tokio::spawn(async move {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n",
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    for _ in 0..2 {
        let error = client.status().await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { .. }), "{error}");
    }
    other.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_route_and_nothing_else() {
    let served = Served::new().await;
    let described = served.client.openapi().await.unwrap();
    let mut found = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
            found.insert((method.clone(), path.clone()));
        }
    }
    let routes = freeway_node::rpc::routes();
    let routes: BTreeSet<_> =
        routes.into_iter().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(found, routes);
    // Every schema that is referred to is there.
    let text = described.to_string();
    let schemas = described["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is not described");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_is_gone() {
    let served = Served::new().await;
    let url = served.url.clone();
    served.client.status().await.unwrap();
    served.stop().await;
    let error = Client::new(&url).unwrap().status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}
