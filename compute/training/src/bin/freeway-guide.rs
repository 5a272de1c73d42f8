//! Trains the guide, asks it, and checks it: `freeway-guide --help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use freeway_training::architecture::{Family, Shape};
use freeway_training::chat;
use freeway_training::corpus::conversations::{Conversations, Message};
use freeway_training::corpus::heldout::{self, HeldOut};
use freeway_training::corpus::random::Random;
use freeway_training::decode::greedy;
use freeway_training::optimiser::Schedule;
use freeway_training::trainer::batches::Stage;
use freeway_training::trainer::folder::Folder;
use freeway_training::trainer::run::{self, Plan};
use freeway_training::trainer::vocabulary::Vocabulary;
use freeway_training::trainer::{TrainError, batches};

/// Longest answer, in tokens.
const LONGEST_ANSWER: usize = 100;
/// Steps in which the guide is trained.
const GUIDE_STEPS: usize = 12_000;
/// Steps in which a smaller model is trained.
const SMALL_STEPS: usize = 5000;
/// Highest learning rate.
const RATE: f32 = 2e-3;
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
    /// The guide: two million parameters, of the family Qwen3
    Guide,
    /// A smaller model of the family Llama
    Llama,
    /// A smaller model of the family Qwen3
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

/// How each kind is trained.
fn plan(kind: Kind, seed: u64) -> Plan {
    let steps = if kind == Kind::Guide { GUIDE_STEPS } else { SMALL_STEPS };
    let schedule = Schedule { peak: RATE, warm_up: 200, steps };
    let stages = vec![(0, Stage::Beginnings), (steps / 5 * 4, Stage::Conversations)];
    Plan { seed, area: AREA, schedule, stages, report: 50, checkpoint: 100 }
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
        Kind::Guide | Kind::Qwen3 => Family::Qwen3,
        Kind::Llama => Family::Llama,
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
        plan.schedule.steps,
        plan.area
    );
    // The corpus under a seed that training does not use: the same wordings, other draws and other noise.
    let mut random = Random::new(!plan.seed);
    let chats: Vec<Vec<Message>> = (0..VALIDATED).map(|_| conversations.draw(&mut random)).collect();
    let unseen = batches::of(&vocabulary, &chats, 8)?;
    let (questions, draws) = (HeldOut::read(heldout::FILE)?, draws(&conversations, !plan.seed));
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
        if report.steps.0.is_multiple_of(500) || report.steps.0 == report.steps.1 {
            let say = |question: &str| answer(shape, weights, &vocabulary, question).unwrap_or_default();
            let sensible =
                questions.iter().filter(|held_out| held_out.sensible(&say(&held_out.question))).count();
            let right = draws.iter().filter(|(question, answers)| answers.contains(&say(question))).count();
            println!(
                "  unseen draws: loss {:.4}, {right} of {} right; held-out questions: {sensible} of {} answered sensibly",
                run::validate(shape, weights, &unseen),
                draws.len(),
                questions.len()
            );
        }
    };
    let weights = run::train(shape, plan, &conversations, &vocabulary, &folder, tell)?;
    folder.write_model(&shape, &vocabulary, &weights)?;
    println!("trained in {}; the model is in {}", minutes(began.elapsed()), model.out.display());
    let question = "What is Freeway?";
    println!("{question}\n{}", answer(shape, &weights, &vocabulary, question)?);
    Ok(ExitCode::SUCCESS)
}

/// Questions of the corpus under a seed that training does not use, each with all its answers.
fn draws(conversations: &Conversations, seed: u64) -> Vec<(String, Vec<String>)> {
    let mut random = Random::new(seed);
    let intents = &conversations.intents().all;
    (0..VALIDATED)
        .map(|_| {
            let mut messages = conversations.draw_single(&mut random);
            let answer = messages.pop().map_or_else(String::new, |message| message.text);
            let question = messages.pop().map_or_else(String::new, |message| message.text);
            let intent = intents.iter().find(|intent| intent.answers.contains(&answer));
            (question, intent.map_or_else(|| vec![answer], |intent| intent.answers.clone()))
        })
        .collect()
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
