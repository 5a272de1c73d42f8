//! Reading server-sent events, piece by piece.
//!
//! Pieces may be cut anywhere: within a character, between a carriage return and its line feed, within a field.

/// More bytes than allowed came without the end of an event, or bytes that are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    /// An event is longer than the limit.
    #[error("an event has more than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("an event is not UTF-8")]
    NoText,
}

/// Collects the data of events.
#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    line: Vec<u8>,
    data: String,
    has_data: bool,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
    first_line: bool,
}

impl Parser {
    /// A parser of events of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let (line, data) = (Vec::new(), String::new());
        Self { limit, line, data, has_data: false, after_return: false, first_line: true }
    }

    /// Takes the next bytes, and gives the data of the events that they end to `take`.
    pub(crate) fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(String)) -> Result<(), SseError> {
        for &byte in bytes {
            let after_return = core::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    self.end_of_line(take)?;
                }
                _ => {
                    self.line.push(byte);
                    if self.line.len() + self.data.len() > self.limit {
                        return Err(SseError::TooLong(self.limit));
                    }
                }
            }
        }
        Ok(())
    }

    /// The data of an event that was not ended by an empty line, as some servers leave their last one.
    pub(crate) fn finish(&mut self) -> Result<Option<String>, SseError> {
        if !self.line.is_empty() {
            self.end_of_line(&mut |_| {})?;
        }
        self.line.clear();
        Ok(core::mem::take(&mut self.has_data).then(|| core::mem::take(&mut self.data)))
    }

    fn end_of_line(&mut self, take: &mut dyn FnMut(String)) -> Result<(), SseError> {
        let mut line = self.line.as_slice();
        if core::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            if core::mem::take(&mut self.has_data) {
                take(core::mem::take(&mut self.data));
            }
        } else if let Some(value) = line.strip_prefix(b"data").and_then(value) {
            let text = core::str::from_utf8(value).map_err(|_| SseError::NoText)?;
            if self.has_data {
                self.data.push('\n');
            }
            self.data.push_str(text);
            self.has_data = true;
        }
        // Comments and all other fields say nothing that is needed here.
        self.line.clear();
        Ok(())
    }
}

/// What follows the name of a field; `None` if the name goes on.
fn value(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]], limit: usize) -> Result<Vec<String>, SseError> {
        let mut parser = Parser::new(limit);
        let mut found = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut |data| found.push(data))?;
        }
        found.extend(parser.finish()?);
        Ok(found)
    }

    #[test]
    fn all_line_ends_and_fields() {
        let text = b"\xef\xbb\xbfdata: one\r\n\r\n: comment\ndata:two\ndata:  three\n\nevent: x\nid: 4\n\rdata\r\rdatabase: 9\n\ndata: last";
        assert_eq!(all(&[text], 1_000).unwrap(), ["one", "two\n three", "", "last"]);
    }

    #[test]
    fn bounds() {
        assert_eq!(all(&[&[b'x'; 50]], 49), Err(SseError::TooLong(49)));
        assert_eq!(all(&[b"data: 123456\ndata: 123456\n"], 15), Err(SseError::TooLong(15)));
        assert_eq!(all(&[b"data: \xff\n\n"], 100), Err(SseError::NoText));
        assert_eq!(all(&[b":\xff\n\n"], 100), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            events in proptest::collection::vec("[a-zé€😀:{}\" ]{0,20}", 0..8),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            size in 1usize..9,
        ) {
            let text: String = events.iter().map(|event| format!("data: {event}{end}{end}")).collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(all(&pieces, 10_000).unwrap(), events);
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let whole = all(&[&bytes], 1_000);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(whole, all(&single, 1_000));
        }
    }
}
