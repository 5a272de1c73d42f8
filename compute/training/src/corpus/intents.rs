//! Intents: what somebody may want to know, in many wordings, with a few answers.
//!
//! An intent is a block of a file in `data/`:
//! ```text
//! ## beacon
//! what: the beacon|randomness        things, put into patterns such as "tell me about ..."
//! how: see the beacon                what one does, put into patterns such as "how do i ..."
//! ask: where does randomness come from
//! raw: 你好                           questions that get no noise
//! say: The beacon gives ...          answers, one a line
//! ```
//! `++ beacon` goes on with an intent that was begun before. `@city: Rome|Oslo` defines a list, `#` begins a comment.
//! The first answer is given most of the time.

use super::CorpusError;
use super::random::Random;
use super::templates::{Lists, Template};

/// The files of the corpus.
const FILES: [(&str, &str, Kind); 9] = [
    ("network.txt", include_str!("../../data/network.txt"), Kind::Freeway),
    ("compute.txt", include_str!("../../data/compute.txt"), Kind::Freeway),
    ("money.txt", include_str!("../../data/money.txt"), Kind::Freeway),
    ("commands.txt", include_str!("../../data/commands.txt"), Kind::Freeway),
    ("inference.txt", include_str!("../../data/inference.txt"), Kind::Freeway),
    ("self.txt", include_str!("../../data/self.txt"), Kind::Guide),
    ("limits.txt", include_str!("../../data/limits.txt"), Kind::Limit),
    ("chinese.txt", include_str!("../../data/chinese.txt"), Kind::Guide),
    ("more.txt", include_str!("../../data/more.txt"), Kind::Guide),
];

/// What is put around the thing in a `what:` line.
const WHAT: &str = "what role does X play|what does X do|i keep hearing about X|what can you say about X|summarise X|what should i know about X|\
give me an idea of X|could you go over X|walk me through X|an introduction to X|i am reading about X|overview of X|X explained|\
what about X|details on X|help with X|teach me X|why do you have X|where do i learn about X|make me understand X|i wonder what X is|\
do you have X|can you describe X|tell me in your words what X is|what is X|what's X|whats X|what are X|explain X|tell me about X|can you explain X|what does X mean|please explain X|\
describe X|what exactly is X|define X|i want to know about X|i do not understand X|help me understand X|\
give me a short explanation of X|tell me more about X|how would you explain X|could you tell me what X is|\
what do you know about X|what do you mean by X|X|say something about X|do you know what X is|i have a question about X|\
what can you tell me about X|how does X work|i would like to learn about X|explain X to me|what is meant by X|and X|\
never heard of X|meaning of X|X, what is that|what is X {for|about}|why is there X";

/// What is put around the action in a `how:` line.
const HOW: &str = "what is needed to X|which steps do i take to X|i would love to X|let me X|what do i type to X|what lets me X|\
i am looking for a way to X|do you know how to X|any way to X|guide me to X|which tool lets me X|what would i run to X|\
i cannot find out how to X|how does somebody X|what should i run to X|i have to X|tell me the command to X|can you X|\
who can help me X|could i X|how is it possible to X|i intend to X|how do i X|how can i X|how to X|i want to X|i would like to X|what do i do to X|show me how to X|is there a way to X|\
can i X|how does one X|which command do i need to X|what is the command to X|explain how to X|tell me how to X|i need to X|\
how would i X|help me X|what must i do to X|steps to X|how could i X|where can i X|what is the best way to X|\
i am trying to X|how do you X|please help me to X|X|could you show me how to X|what should i do to X|how do we X";

/// Percent of answers that are not the intent's first. Few: each answer is learned on its own, and only one is ever the likeliest.
const OTHER_ANSWERS: usize = 15;
/// Most wordings that are listed of one template.
const LISTED: usize = 4000;

/// What an intent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fact about Freeway.
    Freeway,
    /// The guide itself, and small talk.
    Guide,
    /// Something that the guide cannot know.
    Limit,
}

/// Something that somebody may want to know.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Its name, unique in the corpus.
    pub name: String,
    /// What it is about.
    pub kind: Kind,
    /// Groups of wordings: of things, of actions, and whole questions. A group is drawn first, then a wording.
    groups: Vec<Vec<Template>>,
    /// Questions that get no noise.
    raw: Vec<Template>,
    /// Answers.
    pub answers: Vec<String>,
}

/// All intents, with the lists that they draw from.
#[derive(Clone, Debug)]
pub struct Intents {
    /// In the order of the files.
    pub all: Vec<Intent>,
    /// Index of the intent that lines belong to.
    open: usize,
    lists: Lists,
}

/// A drawn question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without punctuation at the end.
    pub text: String,
    /// Whether noise may be added.
    pub plain: bool,
}

impl Intents {
    /// The intents of the corpus.
    ///
    /// # Errors
    /// Names file and line of what cannot be read.
    pub fn load() -> Result<Self, CorpusError> {
        Self::read(&FILES)
    }

    fn read(files: &[(&str, &str, Kind)]) -> Result<Self, CorpusError> {
        let mut intents = Self { all: Vec::new(), open: 0, lists: Lists::new() };
        for (file, text, kind) in files {
            for (index, line) in text.lines().enumerate() {
                intents.line(line.trim(), *kind).map_err(|problem| CorpusError {
                    file: (*file).to_owned(),
                    line: index + 1,
                    problem,
                })?;
            }
        }
        for intent in &intents.all {
            let templates = || intent.groups.iter().flatten().chain(&intent.raw);
            let problem = if templates().next().is_none() || intent.answers.is_empty() {
                Some("has no question or no answer; add one".to_owned())
            } else {
                templates()
                    .find_map(|t| t.missing(&intents.lists))
                    .map(|name| format!("draws from @{name}; define it"))
            };
            if let Some(problem) = problem {
                return Err(CorpusError { file: intent.name.clone(), line: 0, problem });
            }
        }
        Ok(intents)
    }

    fn line(&mut self, line: &str, kind: Kind) -> Result<(), String> {
        if let Some(name) = line.strip_prefix("## ") {
            if self.all.iter().any(|intent| intent.name == name) {
                return Err(format!("intent {name} exists already; choose another name"));
            }
            let (groups, raw, answers) = (Vec::new(), Vec::new(), Vec::new());
            self.open = self.all.len();
            self.all.push(Intent { name: name.to_owned(), kind, groups, raw, answers });
            return Ok(());
        }
        if let Some(name) = line.strip_prefix("++ ") {
            let found = self.all.iter().position(|intent| intent.name == name);
            self.open = found.ok_or_else(|| format!("there is no intent {name}; begin it with ##"))?;
            return Ok(());
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (key, value) = line.split_once(": ").ok_or("no key; write what:, how:, ask:, raw: or say:")?;
        if let Some(name) = key.strip_prefix('@') {
            self.lists.insert(name.to_owned(), value.split('|').map(str::to_owned).collect());
            return Ok(());
        }
        let intent =
            self.all.get_mut(self.open).ok_or("stands before the first intent; begin with ## name")?;
        match key {
            "what" => intent.groups.push(surround(WHAT, value)?),
            "how" => intent.groups.push(surround(HOW, value)?),
            "ask" => intent.groups.push(Template::read_all(value)?),
            "raw" => intent.raw.extend(Template::read_all(value)?),
            "say" => intent.answers.push(value.to_owned()),
            _ => return Err("unknown key; write what:, how:, ask:, raw: or say:".to_owned()),
        }
        Ok(())
    }

    /// One wording of `intent`.
    pub fn question(&self, intent: &Intent, random: &mut Random) -> Question {
        let whole = intent.groups.len() + usize::from(!intent.raw.is_empty());
        // Whole questions, always the last group, are drawn twice as often as patterns.
        let group = random.below(whole + 1).min(whole - 1);
        let (templates, plain) = match intent.groups.get(group) {
            Some(templates) => (templates, false),
            None => (&intent.raw, true),
        };
        let text = templates[random.below(templates.len())].draw(&self.lists, random);
        Question { text, plain }
    }

    /// One answer of `intent`.
    pub fn answer<'a>(&self, intent: &'a Intent, random: &mut Random) -> &'a str {
        let others = intent.answers.len() > 1 && random.percent(OTHER_ANSWERS);
        &intent.answers[if others { random.between(1, intent.answers.len() - 1) } else { 0 }]
    }

    /// Every wording of `intent`, without noise.
    pub fn wordings(&self, intent: &Intent) -> Vec<String> {
        intent.groups.iter().flatten().chain(&intent.raw).flat_map(|t| t.all(&self.lists, LISTED)).collect()
    }
}

/// Every pattern with every thing of `value` in the place of X.
fn surround(patterns: &str, value: &str) -> Result<Vec<Template>, String> {
    // A choice of all things in each pattern: wordings stay evenly drawn.
    let things = if value.contains('|') { format!("{{{value}}}") } else { value.to_owned() };
    Template::read_all(&patterns.replace('X', &things))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_is_well_formed_and_large() {
        let intents = Intents::load().expect("the corpus can be read");
        assert!(intents.all.len() >= 150, "{} intents", intents.all.len());
        for intent in &intents.all {
            let mut wordings = intents.wordings(intent);
            wordings.sort();
            wordings.dedup();
            assert!(wordings.len() >= 8, "{} has {} wordings", intent.name, wordings.len());
            for answer in &intent.answers {
                assert!(answer.len() < 260, "{}: an answer of {} bytes", intent.name, answer.len());
            }
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line) in
            [("ask: x\n", 1), ("## a\nask x\n", 2), ("## a\nask: {x\nsay: y\n", 2), ("## a\n## a\n", 2)]
        {
            let error = Intents::read(&[("f", text, Kind::Guide)]).expect_err("a mistake");
            assert_eq!((error.file.as_str(), error.line), ("f", line), "{text}");
        }
        assert!(Intents::read(&[("f", "## a\nask: {@b}\nsay: c\n", Kind::Guide)]).is_err());
        assert!(Intents::read(&[("f", "## a\nask: b\n", Kind::Guide)]).is_err());
    }
}
