//! Makes a model with random weights: a Hugging Face folder, a GGUF file of type Q8_0, or a package, of the same weights.
//!
//! ```text
//! cargo run --release -p freeway-models --example make-model -- --preset half-billion --folder F --gguf M.gguf --package P
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use freeway_models::synthetic::Recipe;
use freeway_models::{Dtype, Family, Group, PackOptions, pack_source};

const USAGE: &str = "usage: make-model [--preset tiny|half-billion] [--family llama|qwen2|qwen3] [--seed N]
  [--layers N] [--width N] [--heads N] [--kv-heads N] [--head N] [--hidden N] [--vocabulary N] [--context N] [--tied]
  [--dtype f32|f16|bf16] [--shards N] [--group 32|64|128|0]
  [--folder DIR]   writes a Hugging Face folder
  [--gguf FILE]    writes a GGUF file of type Q8_0
  [--package FILE] packs into a file";

/// What the user asks for.
struct Request {
    recipe: Recipe,
    dtype: Dtype,
    shards: usize,
    group: Group,
    folder: Option<PathBuf>,
    gguf: Option<PathBuf>,
    package: Option<PathBuf>,
}

fn parse() -> Result<Request, Box<dyn Error>> {
    let mut request = Request {
        recipe: Recipe::llama(),
        dtype: Dtype::Bf16,
        shards: 1,
        group: Group::G32,
        folder: None,
        gguf: None,
        package: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let recipe = &mut request.recipe;
        if flag == "--tied" {
            recipe.tied = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value\n{USAGE}"))?;
        let number = || value.parse::<u32>().map_err(|error| format!("{flag} {value}: {error}"));
        let path = || Some(PathBuf::from(&value));
        match flag.as_str() {
            "--preset" => {
                *recipe = match value.as_str() {
                    "tiny" => Recipe::llama(),
                    "half-billion" => Recipe::half_billion(),
                    _ => return Err(format!("there is no preset {value}\n{USAGE}").into()),
                }
            }
            "--family" => {
                let families = [Family::Llama, Family::Qwen2, Family::Qwen3];
                let family = families.into_iter().find(|family| family.to_string() == value);
                recipe.family = family.ok_or_else(|| format!("there is no family {value}\n{USAGE}"))?;
            }
            "--seed" => recipe.seed = value.parse()?,
            "--layers" => recipe.layers = number()?,
            "--width" => recipe.width = number()?,
            "--heads" => recipe.heads = number()?,
            "--kv-heads" => recipe.kv_heads = number()?,
            "--head" => recipe.head = number()?,
            "--hidden" => recipe.hidden = number()?,
            "--vocabulary" => recipe.vocabulary = number()?,
            "--context" => recipe.context = number()?,
            "--dtype" => {
                request.dtype = match value.as_str() {
                    "f32" => Dtype::F32,
                    "f16" => Dtype::F16,
                    "bf16" => Dtype::Bf16,
                    _ => return Err(format!("there is no type {value}\n{USAGE}").into()),
                }
            }
            "--shards" => request.shards = number()? as usize,
            "--group" => request.group = value.parse()?,
            "--folder" => request.folder = path(),
            "--gguf" => request.gguf = path(),
            "--package" => request.package = path(),
            _ => return Err(format!("there is no option {flag}\n{USAGE}").into()),
        }
    }
    if request.recipe.vocabulary < freeway_models::synthetic::MIN_VOCABULARY {
        return Err(format!(
            "a vocabulary of at least {} is needed",
            freeway_models::synthetic::MIN_VOCABULARY
        )
        .into());
    }
    request.recipe.config(request.group).validate()?;
    Ok(request)
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[expect(clippy::print_stdout, reason = "an example that reports what it wrote")]
fn run() -> Result<(), Box<dyn Error>> {
    let request = parse()?;
    let recipe = &request.recipe;
    println!("{}: {} parameters", recipe.name, recipe.config(request.group).parameters());
    if let Some(folder) = &request.folder {
        recipe.write_folder(folder, request.dtype, request.shards)?;
        println!("folder {}", folder.display());
    }
    if let Some(file) = &request.gguf {
        recipe.write_gguf(file)?;
        println!("gguf {}: {} bytes", file.display(), size(file));
    }
    if let Some(file) = request.package {
        let options = PackOptions { group: request.group, output: Some(file), ..PackOptions::default() };
        let packed = pack_source(&recipe.source(), &options, &mut |_| ())?;
        println!("package {}: {} bytes, root {}", packed.path.display(), packed.bytes, packed.root);
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "an example that says what went wrong")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
