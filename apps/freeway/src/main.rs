//! The one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            freeway::output::Output::default().problem(&freeway::hints::Problem::new(
                "no_threads",
                format!("no threads can be started: {error}"),
            ));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(freeway::cli::run(std::env::args_os().collect()));
    // A thread that reads standard input ends only with the input; the program does not wait for it.
    runtime.shutdown_background();
    code
}
