//! The files of the pages: embedded, compressed once, served under a policy that lets nothing else run.
//!
//! A debug build reads the folder of the source tree at each request, if it is still there, so that pages can be edited
//! without building.

use std::collections::BTreeMap;
use std::io::Write;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Names, relative to the folder, and contents.
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));
/// The page that all addresses of the explorer show.
pub(crate) const INDEX: &str = "index.html";
/// What pages may do. Scripts and styles come from here alone and none stands in a page, so that a name from the
/// chain never runs. Nothing is asked of other servers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// The same for *Try it*, which talks to a gateway that the user names.
const POLICY_TO_ASK: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                             connect-src 'self' http: https:; base-uri 'none'; form-action 'self'; \
                             frame-ancestors 'none'";
/// Smaller files are sent as they are.
const WORTH_COMPRESSING: usize = 512;

/// A file, ready to be sent.
#[derive(Clone, Debug)]
struct Asset {
    body: Bytes,
    compressed: Option<Bytes>,
    tag: HeaderValue,
    kind: &'static str,
}

impl Asset {
    fn new(name: &str, body: Bytes) -> Self {
        let digest = blake3::hash(&body).to_hex();
        let tag = format!("W/\"{}\"", digest.get(..20).unwrap_or_default());
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("W/\"0\""));
        let kind = kind(name);
        Self { compressed: compressed(kind, &body), body, tag, kind }
    }

    fn response(&self, asked: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
            (header::ETAG, self.tag.clone()),
            // A newer node has newer pages; asking costs nothing but the tag.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ] {
            headers.insert(name, value);
        }
        if knows(asked, &self.tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let body = match &self.compressed {
            Some(compressed) if takes_gzip(asked) => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                compressed.clone()
            }
            _ => self.body.clone(),
        };
        *response.body_mut() = Body::from(body);
        response
    }
}

/// All files.
#[derive(Clone, Debug)]
pub(crate) struct Assets {
    files: BTreeMap<&'static str, Asset>,
    /// Read at each request, if there.
    folder: Option<std::path::PathBuf>,
}

impl Assets {
    /// The embedded files.
    pub(crate) fn embedded() -> Self {
        let asset = |(name, body): &(&'static str, &'static [u8])| {
            (*name, Asset::new(name, Bytes::from_static(body)))
        };
        Self { files: FILES.iter().map(asset).collect(), folder: None }
    }

    /// The files of this build: in a debug build those of the source tree.
    pub(crate) fn of_this_build() -> Self {
        #[cfg(debug_assertions)]
        let folder = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/assets"))
            .map(std::path::PathBuf::from)
            .filter(|folder| folder.join(INDEX).is_file());
        #[cfg(not(debug_assertions))]
        let folder = None;
        Self { folder, ..Self::embedded() }
    }

    /// The answer with a file; `None` if there is none.
    pub(crate) fn response(&self, name: &str, asked: &HeaderMap) -> Option<Response<Body>> {
        if let Some(folder) = &self.folder {
            // Only plain names: no path leads out of the folder.
            let plain = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
            let body = if plain { std::fs::read(folder.join(name)).ok()? } else { return None };
            return Some(Asset::new(name, body.into()).response(asked));
        }
        self.files.get(name).map(|asset| asset.response(asked))
    }

    /// The page, for the addresses of the explorer. `may_ask` lets it talk to a gateway elsewhere.
    pub(crate) fn page(&self, may_ask: bool, asked: &HeaderMap) -> Option<Response<Body>> {
        let mut response = self.response(INDEX, asked)?;
        if may_ask {
            let policy = HeaderValue::from_static(POLICY_TO_ASK);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        Some(response)
    }

    /// Bytes of all files as they are sent to a browser.
    pub(crate) fn weight(&self) -> usize {
        let sent = |asset: &Asset| asset.compressed.as_ref().unwrap_or(&asset.body).len();
        self.files.values().map(sent).sum()
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The compressed form, if that is smaller.
fn compressed(kind: &str, body: &[u8]) -> Option<Bytes> {
    let packed = kind.starts_with("image/png") || kind.starts_with("font/");
    if packed || body.len() < WORTH_COMPRESSING {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < body.len()).then(|| compressed.into())
}

/// Whether the browser has this version already.
fn knows(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.to_str().unwrap_or_default();
    let listed = |value: &HeaderValue| {
        value.to_str().is_ok_and(|list| list.split(',').any(|known| known.trim() == tag))
    };
    asked.get_all(header::IF_NONE_MATCH).iter().any(listed)
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        let Ok(list) = value.to_str() else { return false };
        list.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let refused = |part: &str| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
        })
    };
    asked.get_all(header::ACCEPT_ENCODING).iter().any(named)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn asked(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let assets = Assets::embedded();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !name.starts_with('.') {
                assert!(assets.files.contains_key(name.as_str()), "{name}");
            }
        }
        assert!(assets.files.contains_key(INDEX));
    }

    #[test]
    fn all_pages_together_are_light() {
        let weight = Assets::embedded().weight();
        assert!(weight < 300 << 10, "{weight} bytes, compressed");
    }

    #[test]
    fn a_browser_gets_what_it_takes_and_nothing_twice() {
        let body = Bytes::from("a page ".repeat(200));
        let asset = Asset::new("x.html", body.clone());
        let plain = asset.response(&HeaderMap::new());
        assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());
        let packed = asset.response(&asked(header::ACCEPT_ENCODING, "br, gzip;q=0.8"));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let refused = asset.response(&asked(header::ACCEPT_ENCODING, "gzip;q=0, br"));
        assert!(refused.headers().get(header::CONTENT_ENCODING).is_none());
        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, packed.headers()[header::ETAG].clone());
        assert_eq!(asset.response(&known).status(), StatusCode::NOT_MODIFIED);
        assert_ne!(Asset::new("x.html", Bytes::from("other")).tag, asset.tag);
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let assets = Assets { folder: Some(folder), ..Assets::embedded() };
        for name in ["../Cargo.toml", "/etc/passwd", "vendor/../../Cargo.toml", "", ".hidden", "a//b"] {
            assert!(assets.response(name, &HeaderMap::new()).is_none(), "{name}");
        }
        assert!(assets.response(INDEX, &HeaderMap::new()).is_some());
    }

    #[test]
    fn the_policy_lets_nothing_inline_run() {
        for policy in [POLICY, POLICY_TO_ASK] {
            assert!(!policy.contains("unsafe"));
            assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"));
        }
        assert!(!POLICY.contains("http"));
    }
}
