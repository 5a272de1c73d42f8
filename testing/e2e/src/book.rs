//! A reader of the book: does what its pages say, in their order, and compares what comes with what they show.
//!
//! Of a page the fenced blocks count. In `console` blocks a line `$ COMMAND` is a command and what follows is its
//! output; `^C` alone presses Ctrl-C in the terminal of the latest program that still runs. In `sh` blocks every line is
//! a command. Blocks of `json`, `python` and `js` are read by their languages; nothing else is.
//!
//! Comments of HTML before a block steer it:
//!
//! | comment | meaning |
//! |---|---|
//! | `<!-- run: background until "TEXT" -->` | the command goes on in a terminal of its own; the reader waits for TEXT |
//! | `<!-- run: until "TEXT" -->` | the command is given again until its output has TEXT; after 90 s in vain the one before it is, too |
//! | `<!-- run: fails -->` | the command must fail |
//! | `<!-- run: beside freeway up -->` | a network runs; if none does, `freeway up` is started first |
//! | `<!-- machine: b -->` | on another machine than the page's first, which is `a` |
//! | `<!-- not run: REASON -->` | nothing of the block is done, and the reason is reported |
//!
//! A machine is a home of its own and, where the system allows it, a network namespace of its own: default ports are
//! free there, and nothing outside is reached. Words in capitals that readers fill in, such as `ADDRESS`, are taken from
//! what earlier commands printed: see [`values`].

pub mod machine;
pub mod page;
pub mod reader;
pub mod shown;
pub mod values;

pub use machine::{Machine, Switch};
pub use page::{Action, How, Page, Step};
pub use reader::Reader;
