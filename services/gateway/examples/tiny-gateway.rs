//! A gateway without keys before the exact engine and a tiny model with random weights: for trying clients and tools
//! that read `/openapi.json`. Its one argument is the address; it serves the model `tiny` until it is killed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use freeway_engines::{Exact, ExactOptions, Registry};
use freeway_gateway::{Access, Config, Gateway};
use freeway_models::{Group, synthetic::Recipe};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0").parse()?;
    let mut options = ExactOptions::default();
    options.engine.cache_bytes = 64 << 20;
    let engine = Exact::new(options);
    engine.add("tiny", Recipe::llama().package(Group::G32)?)?;
    let registry = Registry::new();
    registry.add_engine(Arc::new(engine)).await?;
    let running = Gateway::start(Config::new(listen, Access::Open), Arc::new(registry)).await?;
    writeln!(std::io::stdout(), "{}", running.api())?;
    std::future::pending::<()>().await;
    Ok(())
}
