//! The parts of the `freeway` binary that other crates and tests can use.
//!
//! | module | concern |
//! |---|---|
//! | [`cli`] | the command line: options, subcommands, what every command finds around itself |
//! | [`commands`] | one file for each subcommand |
//! | [`output`] | results on stdout, for people and for programs; everything else on stderr |
//! | [`hints`] | errors that say what to do next |
//! | [`keystore`] | encrypted keys |
//! | [`network_file`], [`host_file`] | files that commands exchange |

pub mod cli;
pub mod commands;
mod files;
pub mod hints;
pub mod host_file;
pub mod keystore;
mod logging;
pub mod network_file;
pub mod output;
mod signals;
mod telemetry;
