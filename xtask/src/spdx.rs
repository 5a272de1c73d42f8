//! Licence expressions: whether a choice within them is acceptable.
//!
//! A subset of SPDX 2.3, annex D: identifiers, `WITH`, `AND`, `OR`, parentheses, and `/` for `OR` as crates wrote
//! it before 2018. `AND` binds more tightly than `OR`.

/// Whether `expression` can be satisfied with licences that `allowed` accepts.
///
/// An exception (`WITH …`) only ever adds permissions, so that the licence before it decides.
///
/// # Errors
/// A message if it is not a licence expression.
pub(crate) fn is_satisfied(expression: &str, allowed: impl Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed: &allowed };
    let satisfied = parser.any();
    match (satisfied, parser.words) {
        (Some(satisfied), []) => Ok(satisfied),
        _ => Err(format!("`{expression}` is not a licence expression")),
    }
}

struct Parser<'w, F> {
    words: &'w [&'w str],
    allowed: F,
}

impl<'w, F: Fn(&str) -> bool> Parser<'w, F> {
    /// `all OR all OR …`
    fn any(&mut self) -> Option<bool> {
        let mut satisfied = self.all()?;
        while self.take("OR") {
            satisfied |= self.all()?;
        }
        Some(satisfied)
    }

    /// `one AND one AND …`
    fn all(&mut self) -> Option<bool> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Some(satisfied)
    }

    /// A licence, or an expression in parentheses.
    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.any()?;
            return self.take(")").then_some(satisfied);
        }
        let licence = self.name()?;
        if self.take("WITH") {
            self.name()?;
        }
        Some((self.allowed)(licence))
    }

    fn name(&mut self) -> Option<&'w str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        (!matches!(*first, "(" | ")" | "AND" | "OR" | "WITH")).then_some(*first)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str) -> Result<bool, String> {
        is_satisfied(expression, |licence| matches!(licence, "MIT" | "Apache-2.0" | "ISC"))
    }

    #[test]
    fn one_acceptable_choice_is_enough() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-3.0-only OR MIT",
            "GPL-3.0-only/MIT",
            "GPL-3.0-only / MIT",
            "Apache-2.0 WITH LLVM-exception",
            "(GPL-3.0-only OR MIT) AND ISC",
            "MIT AND (ISC AND (Apache-2.0))",
            "GPL-3.0-only AND ISC OR MIT",
        ] {
            assert_eq!(check(good), Ok(true), "{good}");
        }
    }

    #[test]
    fn every_required_licence_must_be_acceptable() {
        for bad in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR ISC) AND GPL-3.0-only",
            "GPL-3.0-only OR AGPL-3.0-only",
        ] {
            assert_eq!(check(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for nonsense in ["", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT ISC", "MIT WITH", "()"] {
            assert!(check(nonsense).is_err(), "{nonsense}");
        }
    }
}
