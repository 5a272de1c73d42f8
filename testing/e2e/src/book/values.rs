//! Words in capitals that readers fill in, taken from what was printed.
//!
//! | word | the last of these that was printed |
//! |---|---|
//! | `ADDRESS` | an address of an account |
//! | `API` | the URL of an OpenAI interface, ending in `/v1` |
//! | `KEY` | a key for it |
//! | `PASS` | a pass |
//! | `RECEIPT` | the 64 digits behind the word `receipt` |
//! | `LANE` | the number behind the word `lane` |
//! | `HOST` | the URL behind the word `host` |

use std::collections::BTreeMap;

/// The words, and what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<&'static str, String>);

/// All words.
const NAMES: [&str; 7] = ["ADDRESS", "API", "HOST", "KEY", "LANE", "PASS", "RECEIPT"];
/// Digits of a digest.
const DIGEST_DIGITS: usize = 64;
/// An address is at least this long; shorter ones are cut for display.
const MIN_ADDRESS: usize = 40;

impl Values {
    /// Takes what was printed.
    pub fn learn(&mut self, output: &str) {
        for line in output.lines() {
            let mut before = "";
            for word in
                line.split(|c: char| c.is_whitespace() || "'\",`".contains(c)).filter(|word| !word.is_empty())
            {
                if let Some(name) = kind(before, word) {
                    self.0.insert(name, word.to_owned());
                }
                before = word;
            }
        }
    }

    /// The text with all words replaced that stand alone.
    ///
    /// # Errors
    /// The first word of which nothing was printed.
    pub fn fill(&self, text: &str) -> Result<String, &'static str> {
        let mut text = text.to_owned();
        for name in NAMES {
            while let Some(at) = standing_alone(&text, name) {
                let value = self.0.get(name).ok_or(name)?;
                text.replace_range(at..at + name.len(), value);
            }
        }
        Ok(text)
    }
}

/// For which word a printed word is a value.
fn kind(before: &str, word: &str) -> Option<&'static str> {
    let is_digest = word.len() == DIGEST_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let before = before.trim_end_matches(':').to_lowercase();
    if word.starts_with("fwy1") && word.len() >= MIN_ADDRESS && word.is_ascii() {
        Some("ADDRESS")
    } else if word.starts_with("http://") && word.ends_with("/v1") {
        Some("API")
    } else if before == "host" && word.starts_with("http://") {
        Some("HOST")
    } else if word.starts_with("fw-") && !word.contains("..") {
        Some("KEY")
    } else if word.starts_with("fwp_") && !word.contains("..") {
        Some("PASS")
    } else if is_digest && before.ends_with("receipt") {
        Some("RECEIPT")
    } else if before == "lane" && word.parse::<u64>().is_ok() {
        Some("LANE")
    } else {
        None
    }
}

/// Where a word stands that is no part of another and no variable.
fn standing_alone(text: &str, name: &str) -> Option<usize> {
    let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '{' || c == '-';
    text.match_indices(name).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '=')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_values_are_filled_in() {
        let mut values = Values::default();
        let address = format!("fwy1{}", "q".repeat(58));
        let receipt = "ab".repeat(32);
        values.learn(&format!("API   http://127.0.0.1:1/v1  (process 3)\nkey  fw-abc\naddress  {address}\n"));
        values.learn(&format!("x-freeway-receipt: {receipt}\nhost fwy19hxxn…ugpp\nlane  7\n"));
        let filled = values
            .fill("export OPENAI_API_KEY=KEY URL=API; echo \"$KEY ${API} ADDRESS\" RECEIPT LANE")
            .unwrap();
        assert_eq!(
            filled,
            format!(
                "export OPENAI_API_KEY=fw-abc URL=http://127.0.0.1:1/v1; echo \"$KEY ${{API}} {address}\" {receipt} 7"
            )
        );
        assert_eq!(values.fill("PASS"), Err("PASS"));
        assert_eq!(values.fill("PASSPORT"), Ok("PASSPORT".to_owned()));
    }

    #[test]
    fn a_host_is_asked_at_its_url() {
        let mut values = Values::default();
        values.learn("host  http://127.0.0.1:5  (process 1)\nreceipt  x");
        assert_eq!(values.fill("curl HOST/"), Ok("curl http://127.0.0.1:5/".to_owned()));
        assert_eq!(values.fill("LOCALHOST $HOST"), Ok("LOCALHOST $HOST".to_owned()));
    }

    #[test]
    fn the_last_one_counts() {
        let mut values = Values::default();
        values.learn("fwp_one fwp_two");
        assert_eq!(values.fill("PASS"), Ok("fwp_two".to_owned()));
    }
}
