//! What people do to a question: greet first, forget the question mark, mistype.

use super::random::Random;

/// What may stand before a question of some length.
const BEFORE: [&str; 40] = [
    "could you say ",
    "would you tell me ",
    "i would like to know ",
    "do you know ",
    "i was wondering ",
    "let me ask: ",
    "can you say ",
    "my question: ",
    "i am curious: ",
    "any idea ",
    "in your view, ",
    "here is a question: ",
    "hi, ",
    "hello, ",
    "hey, ",
    "please tell me, ",
    "quick question: ",
    "so ",
    "ok, ",
    "and ",
    "tell me, ",
    "one question: ",
    "i wonder, ",
    "excuse me, ",
    "just curious, ",
    "a question: ",
    "good morning, ",
    "well, ",
    "another question: ",
    "can you tell me, ",
    "now ",
    "um, ",
    "guide, ",
    "hi there, ",
    "i am new here, ",
    "sorry, ",
    "next: ",
    "thanks, ",
    "please, ",
    "but ",
];
/// What may stand after it.
const AFTER: [&str; 18] = [
    " in a few words",
    ", roughly",
    " actually",
    " at all",
    ", can you say",
    " here",
    " please",
    ", please",
    " exactly",
    ", thanks",
    " in short",
    " in simple words",
    " for a beginner",
    ", in one sentence",
    " again",
    ", i wonder",
    ", briefly",
    " then",
];
/// Words that a hasty person leaves out.
const SMALL: [&str; 14] =
    ["the", "a", "an", "is", "do", "of", "does", "i", "to", "are", "my", "there", "in", "for"];
/// Words that may stand for each other.
const ALIKE: [&[&str]; 44] = [
    &["show", "display", "print", "give"],
    &["see", "view", "look at", "find"],
    &["make", "create", "build", "produce"],
    &["begin", "start", "launch"],
    &["stop", "end", "quit", "halt"],
    &["machine", "computer", "server", "pc", "box"],
    &["laptop", "notebook", "desktop", "machine"],
    &["money", "funds", "coins", "cash"],
    &["pay", "send money to", "transfer money to"],
    &["get", "obtain", "receive", "have"],
    &["use", "employ", "work with", "apply"],
    &["explain", "clarify", "describe", "make clear"],
    &["which", "what"],
    &["how do i", "how would i", "how might i", "how should i", "in what way do i", "how does a person"],
    &["how can i", "how may i", "how am i able to", "how is it possible to"],
    &["i want to", "i'd like to", "i wish to", "i plan to", "my goal is to"],
    &["can i", "may i", "could i", "am i able to", "is it possible to", "would i be able to"],
    &["what is", "what's", "what would be", "what might be"],
    &["what happens", "what takes place", "what occurs", "what goes on", "what will happen"],
    &["what if", "what happens if", "what would happen if", "and if", "suppose"],
    &["why", "for what reason", "how come"],
    &["who", "which person", "who exactly"],
    &["when", "at what point", "at which time"],
    &["where", "in which place", "at what place"],
    &["how many", "what number of", "how many different"],
    &["how long", "for how long", "how much time"],
    &["tell me", "let me know", "inform me", "say"],
    &["the purpose of", "the point of", "the use of", "the role of"],
    &["mean", "stand for", "signify", "refer to"],
    &["host", "hoster", "provider"],
    &["hosts", "providers", "machines"],
    &["cheat", "cheats", "fraud", "trick"],
    &["check", "verify", "test", "control"],
    &["answer", "reply", "response", "result"],
    &["need", "require", "have to have"],
    &["chosen", "picked", "selected", "determined"],
    &["command", "instruction", "subcommand"],
    &["big", "large", "huge"],
    &["quick", "fast", "speedy"],
    &["change", "alter", "modify", "switch"],
    &["allowed", "permitted", "free"],
    &["network", "system", "net"],
    &["cost", "costs", "charge"],
    &["punished", "penalised", "fined"],
];
/// Words that begin a question.
const ASKING: [&str; 24] = [
    "what", "what's", "whats", "how", "why", "who", "where", "when", "which", "is", "are", "can", "do",
    "does", "did", "will", "should", "must", "may", "has", "have", "could", "would", "was",
];

/// Adds what people add, and takes away what they forget.
pub fn add(question: &str, random: &mut Random) -> String {
    let mut text = question.to_owned();
    let words = text.split(' ').count();
    let asks = text.split(' ').next().is_some_and(|first| ASKING.contains(&first));
    if random.percent(30) {
        text = in_other_words(&text, random);
    }
    if words >= 5 && random.percent(10) {
        text = without_a_small_word(&text, random);
    }
    if words >= 3 && random.percent(14) {
        text = format!("{}{text}", random.pick(&BEFORE));
    }
    if words >= 3 && random.percent(8) {
        text.push_str(random.pick(&AFTER));
    }
    if random.percent(12) {
        text = mistyped(&text, random);
    }
    text = match random.below(100) {
        0..48 => sentence(&text, random),
        48..62 => text.split(' ').map(|word| name(word).unwrap_or(word)).collect::<Vec<_>>().join(" "),
        62..95 => text.to_lowercase(),
        95..98 => text.to_uppercase(),
        _ => text.split(' ').map(capital).collect::<Vec<_>>().join(" "),
    };
    if text.ends_with(['?', '.', '!']) {
        return text;
    }
    match (asks, random.below(10)) {
        (true, 0..6) => text + "?",
        (true, 6) => text + " ?",
        (false, 0..3) => text + ".",
        (false, 3..5) => text + "?",
        (false, 5) => text + "!",
        _ => text,
    }
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Names that have capitals when they are written with care.
const NAMES: [(&str, &str); 40] = [
    ("freeway", "Freeway"),
    ("api", "API"),
    ("gguf", "GGUF"),
    ("openai", "OpenAI"),
    ("fwy", "FWY"),
    ("gpu", "GPU"),
    ("gpus", "GPUs"),
    ("cpu", "CPU"),
    ("cpus", "CPUs"),
    ("json", "JSON"),
    ("bft", "BFT"),
    ("llm", "LLM"),
    ("llms", "LLMs"),
    ("ai", "AI"),
    ("rust", "Rust"),
    ("linux", "Linux"),
    ("mac", "Mac"),
    ("windows", "Windows"),
    ("qwen", "Qwen"),
    ("qwen3", "Qwen3"),
    ("llama", "Llama"),
    ("chatgpt", "ChatGPT"),
    ("gpt", "GPT"),
    ("nvidia", "Nvidia"),
    ("cuda", "CUDA"),
    ("kv", "KV"),
    ("http", "HTTP"),
    ("openapi", "OpenAPI"),
    ("h100", "H100"),
    ("h100s", "H100s"),
    ("dkg", "DKG"),
    ("python", "Python"),
    ("bob", "Bob"),
    ("ethereum", "Ethereum"),
    ("bitcoin", "Bitcoin"),
    ("url", "URL"),
    ("avx", "AVX"),
    ("monday", "Monday"),
    ("english", "English"),
    ("i", "I"),
];

/// The name that a word stands for, with its capitals.
fn name(word: &str) -> Option<&'static str> {
    NAMES.iter().find(|(plain, _)| *plain == word).map(|(_, name)| *name)
}

/// As somebody writes who takes care.
fn sentence(text: &str, random: &mut Random) -> String {
    let careful = random.percent(80);
    let words: Vec<String> = text
        .split(' ')
        .enumerate()
        .map(|(index, word)| match name(word).filter(|_| careful || word == "i") {
            Some(name) => name.to_owned(),
            None if index == 0 => capital(word),
            None => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

/// Up to two expressions replaced by others that mean about the same.
fn in_other_words(text: &str, random: &mut Random) -> String {
    let mut text = format!(" {text} ");
    let start = random.below(ALIKE.len());
    let mut changes = random.between(1, 2);
    for index in 0..ALIKE.len() {
        let group = ALIKE[(start + index) % ALIKE.len()];
        let found = group.iter().find(|expression| text.contains(&format!(" {expression} ")));
        if let Some(expression) = found {
            text = text.replacen(&format!(" {expression} "), &format!(" {} ", random.pick(group)), 1);
            changes -= 1;
        }
        if changes == 0 {
            break;
        }
    }
    text.trim().to_owned()
}

fn without_a_small_word(text: &str, random: &mut Random) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    let small: Vec<usize> = (0..words.len()).filter(|&index| SMALL.contains(&words[index])).collect();
    if !small.is_empty() {
        words.remove(small[random.below(small.len())]);
    }
    words.join(" ")
}

/// One letter left out, doubled, exchanged with the next or replaced, in a word of at least four letters.
fn mistyped(text: &str, random: &mut Random) -> String {
    let mut words: Vec<Vec<char>> = text.split(' ').map(|word| word.chars().collect()).collect();
    let long: Vec<usize> = (0..words.len())
        .filter(|&index| words[index].len() >= 4 && words[index].iter().all(char::is_ascii_lowercase))
        .collect();
    if long.is_empty() {
        return text.to_owned();
    }
    let word = &mut words[long[random.below(long.len())]];
    let at = random.between(1, word.len() - 2);
    match random.below(4) {
        0 => drop(word.remove(at)),
        1 => word.insert(at, word[at]),
        2 => word.swap(at, at + 1),
        _ => word[at] = char::from(b'a' + random.below(26) as u8),
    }
    words.iter().map(|word| word.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_keeps_most_of_a_question() {
        let mut random = Random::new(5);
        let question = "where does randomness come from";
        for _ in 0..2000 {
            let noisy = add(question, &mut random).to_lowercase();
            let kept = question.split(' ').filter(|word| noisy.contains(word)).count();
            assert!(kept >= 2, "{noisy}");
        }
    }

    #[test]
    fn characters_of_other_scripts_survive() {
        let mut random = Random::new(6);
        assert!((0..500).all(|_| add("你好 你好 你好 你好", &mut random).contains('好')));
    }
}
