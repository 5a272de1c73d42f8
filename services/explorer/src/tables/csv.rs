//! Tables as comma-separated values (RFC 4180), safe to be opened in a spreadsheet.

use serde_json::Value;

/// A head and rows. A text that a spreadsheet would take for a formula begins with an apostrophe.
pub(crate) fn csv<'a>(names: impl Iterator<Item = &'a str>, rows: &[Vec<Value>]) -> String {
    let mut text = names.collect::<Vec<_>>().join(",");
    text.push_str("\r\n");
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            match cell {
                Value::Null => {}
                Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
                Value::Number(number) => text.push_str(&number.to_string()),
                Value::String(string) => push(&mut text, string),
                Value::Array(_) | Value::Object(_) => push(&mut text, &cell.to_string()),
            }
        }
        text.push_str("\r\n");
    }
    text
}

fn push(text: &mut String, cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !cell.contains([',', '"', '\r', '\n']) {
        text.push_str(cell);
        return;
    }
    text.push('"');
    if formula {
        text.push('\'');
    }
    text.push_str(&cell.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cell: &str) -> String {
        let text = csv(["a"].into_iter(), &[vec![cell.into()]]);
        text.strip_prefix("a\r\n").and_then(|rest| rest.strip_suffix("\r\n")).unwrap_or_default().into()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(one("plain"), "plain");
        assert_eq!(one("a,b"), "\"a,b\"");
        assert_eq!(one("say \"yes\""), "\"say \"\"yes\"\"\"");
        assert_eq!(one("two\nlines"), "\"two\nlines\"");
        let row = vec![Value::Null, true.into(), 12.into(), "x".into(), serde_json::json!(["a", "b"])];
        assert_eq!(csv(["a", "b"].into_iter(), &[row]), "a,b\r\n,true,12,x,\"[\"\"a\"\",\"\"b\"\"]\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for hostile in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(one(hostile), format!("\"'{hostile}\""));
        }
        assert_eq!(one("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
    }
}
