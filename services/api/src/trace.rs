//! Spans for operators who follow requests, blocks and duties from process to process.
//!
//! Services make spans with `tracing`, under [`TARGET`], which logs never show. Whether anybody collects them, and how
//! their contexts are written, is for the program to say: it gives a [`Carrier`] once. Without one nothing is carried, and
//! spans cost a comparison.
//!
//! A span has names, heights, counts and addresses of the chain. It never has a prompt, an answer, a key or a passphrase.

use std::sync::OnceLock;

use tracing::Span;

/// The target of spans that are meant for collectors.
pub const TARGET: &str = "otlp";
/// The header in which a context goes from payer to host.
pub const HEADER: &str = "traceparent";
/// The longest header that is read; those of the standard have 55 bytes.
const MAX_HEADER_BYTES: usize = 256;

/// Writes and reads contexts of spans.
pub trait Carrier: Send + Sync {
    /// The context of a span as a header, if the span is collected.
    fn header(&self, span: &Span) -> Option<String>;

    /// Makes a span a child of the context in a header. A header that is none changes nothing.
    fn adopt(&self, span: &Span, header: &str);
}

static CARRIER: OnceLock<Box<dyn Carrier>> = OnceLock::new();

/// From now on contexts are carried. The first carrier stays.
pub fn carry(carrier: Box<dyn Carrier>) {
    let _ = CARRIER.set(carrier);
}

/// The current span's context as a header, if it is collected.
pub fn header() -> Option<String> {
    let carrier = CARRIER.get()?;
    carrier.header(&Span::current())
}

/// Makes `span` a child of what the header says, if contexts are carried and there is one.
pub fn adopt(span: &Span, header: Option<&[u8]>) {
    let Some(carrier) = CARRIER.get() else { return };
    let text = header
        .filter(|header| header.len() <= MAX_HEADER_BYTES)
        .and_then(|header| str::from_utf8(header).ok());
    if let Some(text) = text {
        carrier.adopt(span, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Carrier for Seen {
        fn header(&self, _: &Span) -> Option<String> {
            Some("written".into())
        }

        fn adopt(&self, _: &Span, header: &str) {
            self.0.lock().unwrap().push(header.to_owned());
        }
    }

    #[test]
    fn without_a_carrier_nothing_is_carried_and_long_headers_never_are() {
        assert_eq!(header(), None);
        adopt(&Span::none(), Some(b"before"));
        let seen = Seen::default();
        let list = Arc::clone(&seen.0);
        carry(Box::new(seen));
        assert_eq!(header().as_deref(), Some("written"));
        for read in [Some(&b"here"[..]), None, Some(&[0xff]), Some(&[b'a'; 300])] {
            adopt(&Span::none(), read);
        }
        assert_eq!(*list.lock().unwrap(), ["here"]);
    }
}
