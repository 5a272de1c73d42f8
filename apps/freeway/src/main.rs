//! The one binary.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    freeway::cli::run(std::env::args_os().collect()).await
}
