//! Trains the guide, asks it, and checks it: `freeway-guide --help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use freeway_training::architecture::{Family, Shape};
use freeway_training::chat;
use freeway_training::corpus::conversations::{Conversations, Message, Role};
use freeway_training::corpus::heldout::{self, HeldOut};
use freeway_training::corpus::random::Random;
use freeway_training::decode::greedy;
use freeway_training::optimiser::{Cycle, Schedule};
use freeway_training::trainer::folder::Folder;
use freeway_training::trainer::run::{self, Plan};
use freeway_training::trainer::vocabulary::Vocabulary;
use freeway_training::trainer::{TrainError, batches};

/// Longest answer, in tokens.
const LONGEST_ANSWER: usize = 100;
/// Padded tokens in a batch.
const AREA: usize = 1024;
/// Chats that validation looks at.
const VALIDATED: usize = 200;

#[derive(Parser)]
#[command(about = "Train the guide, ask it, check it")]
struct Command {
    #[command(flatten)]
    model: Model,
    #[command(subcommand)]
    task: Task,
}

#[derive(Args)]
struct Model {
    /// Folder of the model
    #[arg(long, default_value = "guide")]
    out: PathBuf,
    /// What is trained
    #[arg(long, value_enum, default_value_t = Kind::Guide)]
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The guide: a Llama of three million parameters
    Guide,
    /// A smaller model with normalised queries and keys
    Qwen3,
    /// A smaller model with biases
    Qwen2,
}

#[derive(Subcommand)]
enum Task {
    /// Train, or go on training after an interruption
    Train {
        /// From which everything random follows
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Answer a question
    Ask { question: Vec<String> },
    /// Answer the held-out questions, and say how many answers are sensible
    Check {
        /// Show every answer
        #[arg(long)]
        all: bool,
    },
    /// Lab
    Lab {
        #[arg(long, value_delimiter = ',')]
        shape: Vec<usize>,
        #[arg(long)]
        lr: f32,
        #[arg(long)]
        area: usize,
        #[arg(long)]
        qk: f32,
        #[arg(long)]
        vo: f32,
        #[arg(long)]
        share: bool,
        #[arg(long)]
        seconds: u64,
        #[arg(long, default_value_t = 0)]
        muon: usize,
        #[arg(long, default_value_t = 0.0)]
        linear: f32,
    },
    /// Show some of the corpus
    Corpus {
        /// How many conversations
        #[arg(long, default_value_t = 20)]
        count: usize,
        /// Which ones
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// As the text that a model reads
        #[arg(long)]
        chatml: bool,
    },
}

fn main() -> ExitCode {
    match act(&Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: &Command) -> Result<ExitCode, TrainError> {
    match &command.task {
        Task::Train { seed } => train(&command.model, &plan(command.model.kind, *seed)),
        Task::Lab { shape, lr, area, qk, vo, share, seconds, muon, linear } => lab(shape, *lr, *area, *qk, *vo, *share, *seconds, *muon, *linear),
        Task::Ask { question } => {
            let model = Loaded::read(&command.model)?;
            println!("{}", model.answer(&question.join(" "))?);
            Ok(ExitCode::SUCCESS)
        }
        Task::Check { all } => check(&Loaded::read(&command.model)?, *all),
        Task::Corpus { count, seed, chatml } => {
            let (conversations, mut random) = (Conversations::load()?, Random::new(*seed));
            for _ in 0..*count {
                let messages = conversations.draw(&mut random);
                if *chatml {
                    chat::pieces(&messages).iter().for_each(|piece| print!("{}", piece.text));
                    continue;
                }
                for Message { role, text } in messages {
                    println!("{:>9}  {text}", role.name());
                }
                println!();
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// How each kind is trained. The guide's rate rises anew after a while: the first fall came too early to learn which answer
/// belongs to which question.
fn plan(kind: Kind, seed: u64) -> Plan {
    let first = Cycle { start: 0, peak: 2e-3, warm_up: 130, length: 2600 };
    let (cycles, stages) = match kind {
        Kind::Guide => {
            (vec![first, Cycle { start: 1800, peak: 1.5e-3, warm_up: 50, length: 4700 }], [1300, 1800, 5800])
        }
        Kind::Qwen3 | Kind::Qwen2 => (vec![Cycle { length: 4000, ..first }], [0, 0, 3400]),
    };
    Plan { seed, area: AREA, schedule: Schedule { cycles }, stages, report: 50, checkpoint: 100 }
}

struct Loaded {
    shape: Shape,
    vocabulary: Vocabulary,
    weights: Vec<Vec<f32>>,
}

impl Loaded {
    fn read(model: &Model) -> Result<Self, TrainError> {
        let folder = Folder::open(&model.out)?;
        let (shape, vocabulary, weights) =
            folder.read_model(family(model.kind), model.kind == Kind::Guide)?;
        Ok(Self { shape, vocabulary, weights })
    }

    fn answer(&self, question: &str) -> Result<String, TrainError> {
        answer(self.shape, &self.weights, &self.vocabulary, question)
    }
}

fn family(kind: Kind) -> Family {
    match kind {
        Kind::Guide => Family::Llama,
        Kind::Qwen3 => Family::Qwen3,
        Kind::Qwen2 => Family::Qwen2,
    }
}

fn answer(
    shape: Shape,
    weights: &[Vec<f32>],
    vocabulary: &Vocabulary,
    question: &str,
) -> Result<String, TrainError> {
    let prompt: Vec<usize> =
        vocabulary.encode(&chat::prompt(question))?.iter().map(|&id| id as usize).collect();
    let written = greedy(shape, weights, &prompt, vocabulary.end as usize, LONGEST_ANSWER);
    let ids: Vec<u32> = written.iter().map(|&id| id as u32).collect();
    vocabulary.decode(&ids)
}

fn check(model: &Loaded, all: bool) -> Result<ExitCode, TrainError> {
    let questions = HeldOut::read(heldout::FILE)?;
    let mut sensible = 0;
    for held_out in &questions {
        let answer = model.answer(&held_out.question)?;
        let good = held_out.sensible(&answer);
        sensible += usize::from(good);
        if all || !good {
            println!("{} {}\n     {answer}", if good { " ok " } else { "BAD " }, held_out.question);
        }
    }
    let share = 100.0 * sensible as f64 / questions.len() as f64;
    println!("{sensible} of {} answers are sensible: {share:.1} %", questions.len());
    Ok(if share >= 85.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn train(model: &Model, plan: &Plan) -> Result<ExitCode, TrainError> {
    let (folder, conversations) = (Folder::open(&model.out)?, Conversations::load()?);
    let vocabulary = match folder.read_vocabulary()? {
        Some(vocabulary) => vocabulary,
        None => {
            let learned = Vocabulary::learn(&conversations, plan.seed)?;
            folder.write_vocabulary(&learned)?;
            learned
        }
    };
    let size = vocabulary.size();
    let shape =
        if model.kind == Kind::Guide { Shape::guide(size) } else { Shape::small(family(model.kind), size) };
    println!(
        "{} parameters, {size} tokens in the vocabulary, {} steps of {} tokens",
        shape.parameters(),
        plan.schedule.steps(),
        plan.area
    );
    // The corpus under a seed that training does not use: the same wordings, other draws and other noise.
    let mut random = Random::new(!plan.seed);
    let chats: Vec<Vec<Message>> = (0..VALIDATED).map(|_| conversations.draw(&mut random)).collect();
    let unseen = batches::of(&vocabulary, &chats, 8)?;
    let questions = HeldOut::read(heldout::FILE)?;
    let began = Instant::now();
    let tell = |report: run::Report, weights: &[Vec<f32>]| {
        println!(
            "step {}/{}  loss {:.4}  gradient {:.2}  rate {:.5}  {:.0} tokens/s  {} left  {:.2} M tokens",
            report.steps.0,
            report.steps.1,
            report.loss,
            report.gradient,
            report.rate,
            report.tokens_per_second,
            minutes(report.left),
            report.seen.1 as f64 / 1e6
        );
        if report.steps.0 % 500 == 0 || report.steps.0 == report.steps.1 {
            let good = questions.iter().filter(|held_out| {
                answer(shape, weights, &vocabulary, &held_out.question)
                    .is_ok_and(|text| held_out.sensible(&text))
            });
            let good = good.count();
            let loss = run::validate(shape, weights, &unseen);
            println!(
                "  unseen draws: loss {loss:.4}; held-out questions: {good} of {} answered sensibly",
                questions.len()
            );
        }
    };
    let weights = run::train(shape, plan, &conversations, &vocabulary, &folder, tell)?;
    folder.write_model(&shape, &vocabulary, &weights)?;
    println!("trained in {}; the model is in {}", minutes(began.elapsed()), model.out.display());
    let example = vec![
        Message { role: Role::User, text: "What is Freeway?".to_owned() },
        Message { role: Role::Assistant, text: answer(shape, &weights, &vocabulary, "What is Freeway?")? },
    ];
    println!("{}", example.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n"));
    Ok(ExitCode::SUCCESS)
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[allow(missing_docs)]
fn lab(sh: &[usize], lr: f32, area: usize, qk: f32, vo: f32, share: bool, seconds: u64, muon: usize, mlr: f32) -> Result<ExitCode, TrainError> {
    use freeway_training::optimiser::Optimiser;
    use freeway_training::trainer::batches::Stage;
    use freeway_training::trainer::framework::Framework;
    let conversations = Conversations::load()?;
    let vocabulary = Vocabulary::read(&std::fs::read("/tmp/guide/v2/tokenizer.json").unwrap_or_default())?;
    let shape = Shape { family: Family::Llama, vocabulary: vocabulary.size(), width: sh[0], layers: sh[1], heads: sh[2], kv_heads: sh[3], head: sh[4], hidden: sh[5] };
    let mut weights = shape.initial(1);
    if qk > 0.0 { shape.mimetic(&mut weights, qk, vo, 1); }
    if share {
        for id in 0..vocabulary.size() {
            let text = vocabulary.decode(&[id as u32])?.trim().to_lowercase();
            if text.is_empty() { continue; }
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
            let mut random = Random::new(hash);
            for x in &mut weights[0][id * shape.width..(id + 1) * shape.width] { *x = random.normal() * 0.02 + *x * 0.2; }
        }
    }
    let mut random = Random::new(991);
    let (mut facts, mut sums) = (Vec::new(), Vec::new());
    while facts.len() < 200 || sums.len() < 100 {
        let chat = conversations.draw_single(&mut random);
        if chat.last().is_some_and(|m| m.text.contains(" = ")) { if sums.len() < 100 { sums.push(chat); } } else if facts.len() < 200 { facts.push(chat); }
    }
    let (facts, sums) = (batches::of(&vocabulary, &facts, 8)?, batches::of(&vocabulary, &sums, 8)?);
    let tensors = shape.tensors();
    let mut optimiser = Optimiser::new(&tensors);
    let framework = Framework::new(shape);
    let mut momentum: Vec<Vec<f32>> = tensors.iter().map(|t| vec![0.0; t.elements()]).collect();
    let (mut round, mut seen, mut cpu) = (0, 0, 0.0);
    let began = Instant::now();
    let mut next = 30;
    println!("params {}", shape.parameters());
    loop {
        for batch in batches::round(&conversations, &vocabulary, (1, round), Stage::Beginnings, area * 2)? {
            let t = Instant::now();
            let step = framework.step(&weights, &batch);
            let rate = lr * ((optimiser.steps + 1) as f32 / 100.0).min(1.0);
            if muon > 0 {
                let mut grads = step.gradients;
                let warm = ((optimiser.steps + 1) as f32 / 100.0).min(1.0);
                for (i, t) in tensors.iter().enumerate() {
                    if t.dimensions.len() == 2 && i > 0 {
                        let m = &mut momentum[i];
                        let mut u = vec![0.0; m.len()];
                        for ((m, g), u) in m.iter_mut().zip(&grads[i]).zip(&mut u) { *m = 0.95 * *m + 0.05 * g; *u = 0.95 * *m + 0.05 * g; }
                        let o = framework.orthogonal(&u, &t.dimensions);
                        let scale = mlr * warm * 0.2 * (t.dimensions[0].max(t.dimensions[1]) as f32).sqrt();
                        for (w, o) in weights[i].iter_mut().zip(&o) { *w = *w * (1.0 - mlr * warm * 0.05) - scale * o; }
                        grads[i].iter_mut().for_each(|g| *g = 0.0);
                    }
                }
                let kept: Vec<Vec<f32>> = tensors.iter().zip(&weights).enumerate().map(|(i, (t, w))| if t.dimensions.len() == 2 && i > 0 { w.clone() } else { Vec::new() }).collect();
                optimiser.step(&tensors, &mut weights, &grads, rate);
                for (w, k) in weights.iter_mut().zip(kept) { if !k.is_empty() { *w = k; } }
            } else {
                optimiser.step(&tensors, &mut weights, &step.gradients, rate);
            }
            cpu += t.elapsed().as_secs_f64();
            seen += batch.tokens.len();
            if began.elapsed().as_secs() >= next {
                next += 30;
                println!("{:4.0}s steps {} tokens {:.2}M train {:.3} facts {:.4} sums {:.4}  {:.0} tok/s", cpu, optimiser.steps, seen as f64 / 1e6, step.loss, run::validate(shape, &weights, &facts), run::validate(shape, &weights, &sums), seen as f64 / cpu);
                if began.elapsed().as_secs() > seconds { return Ok(ExitCode::SUCCESS); }
            }
        }
        round += 1;
    }
}
