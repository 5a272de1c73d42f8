//! Every backend against the reference, however work is divided; the reference against attention in floats.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Random numbers, the same everywhere.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// About normal, with variance 1: the sum of twelve numbers between -1/2 and 1/2.
    fn normal(&mut self) -> f32 {
        let sum: i64 = (0..12).map(|_| (self.bits() >> 44) as i64 - (1 << 19)).sum();
        sum as f32 / (1 << 20) as f32
    }
}

/// How values are made.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Normal,
    /// Of very different magnitudes, from one vector to the next.
    Scales,
    Zeros,
    Denormals,
    /// As large as they get in a model that packing lets through.
    Huge,
    /// All vectors the same, so that all scores are.
    Equal,
    /// One key gets nearly everything.
    Dominant,
    /// All bits but those of infinities and what is no number.
    Bits,
}

const KINDS: [Kind; 8] = [
    Kind::Normal,
    Kind::Scales,
    Kind::Zeros,
    Kind::Denormals,
    Kind::Huge,
    Kind::Equal,
    Kind::Dominant,
    Kind::Bits,
];

/// `length` vectors of `head` elements.
fn vectors(kind: Kind, seed: u64, length: usize, head: usize) -> Vec<f32> {
    let mut random = Random(seed);
    let mut all = Vec::new();
    for index in 0..length {
        let scale = match kind {
            Kind::Scales => 2f32.powi((random.bits() % 40) as i32 - 20),
            Kind::Denormals => f32::from_bits(1 << (random.bits() % 22)),
            Kind::Huge => 2f32.powi(57),
            Kind::Dominant if index == length / 2 => 50.0,
            _ => 1.0,
        };
        all.extend((0..head).map(|d| match kind {
            Kind::Zeros => 0.0,
            Kind::Equal => (d % 7) as f32 - 2.5,
            Kind::Bits => {
                let x = f32::from_bits(random.bits() as u32);
                if x.is_finite() { x } else { -1.0 }
            }
            _ => random.normal() * scale,
        }));
    }
    all
}

/// Sequences in a cache, and queries of their last rows.
struct World {
    head: usize,
    kv_heads: usize,
    heads: usize,
    stride: usize,
    cache: Vec<Page>,
    /// Pages, rows, and keys that the first row sees.
    sequences: Vec<(Vec<u32>, usize, usize)>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

const LAYERS: usize = 2;
const LAYER: usize = 1;

impl World {
    fn new(
        kind: Kind,
        seed: u64,
        head: usize,
        kv_heads: usize,
        group: usize,
        jobs: &[(usize, usize)],
    ) -> Self {
        let heads = kv_heads * group;
        let rows: usize = jobs.iter().map(|(rows, _)| rows).sum();
        let stride = heads * head + 3;
        let queries = vectors(kind, seed, rows * (stride / head + 1), head)[..rows * stride].to_vec();
        let (mut cache, mut sequences, mut all_keys, mut all_values) = (vec![], vec![], vec![], vec![]);
        for (index, &(rows, visible)) in jobs.iter().enumerate() {
            let length = visible + rows - 1;
            let count = length.div_ceil(PAGE_POSITIONS);
            let seed = seed.wrapping_mul(1_000).wrapping_add(7 * index as u64);
            let keys = vectors(kind, seed + 1, length * kv_heads, head);
            let values = vectors(kind, seed + 2, length * kv_heads, head);
            // Sequences stand backwards in the cache, so that order cannot matter.
            let pages: Vec<_> = (0..count).map(|page| (cache.len() + count - 1 - page) as u32).collect();
            let rubbish = vectors(Kind::Bits, seed + 3, 2, head);
            for _ in 0..count {
                let mut page = Page::new(LAYERS, kv_heads, head);
                // What is not visible may be anything.
                for kv_head in 0..kv_heads {
                    for slot in 0..PAGE_POSITIONS {
                        let (key, value) = rubbish.split_at(head);
                        page.store(Backend::Scalar, LAYER, kv_head, slot, key, value);
                    }
                }
                cache.push(page);
            }
            for (position, (keys, values)) in
                keys.chunks(kv_heads * head).zip(values.chunks(kv_heads * head)).enumerate()
            {
                let page = &mut cache[pages[position / PAGE_POSITIONS] as usize];
                for kv_head in 0..kv_heads {
                    let slot = position % PAGE_POSITIONS;
                    let (key, value) = (&keys[kv_head * head..][..head], &values[kv_head * head..][..head]);
                    page.store(Backend::best(), LAYER, kv_head, slot, key, value);
                }
            }
            sequences.push((pages, rows, visible));
            all_keys.extend(keys);
            all_values.extend(values);
        }
        Self { head, kv_heads, heads, stride, cache, sequences, queries, keys: all_keys, values: all_values }
    }

    fn score_scale(&self) -> f32 {
        core::f32::consts::LOG2_E / (self.head as f32).sqrt()
    }

    fn jobs(&self) -> Vec<Job<'_>> {
        let mut first = 0;
        let jobs = self.sequences.iter().map(|(pages, rows, visible)| {
            first += rows;
            Job { pages, first: first - rows, rows: *rows, visible: *visible }
        });
        jobs.collect()
    }

    /// The output, and what is written where no job is.
    fn run(&self, backend: Backend, pool: &Pool, jobs: &[Job<'_>], out: &mut [f32]) {
        let queries = Queries { values: &self.queries, stride: self.stride, heads: self.heads };
        attention(backend, pool, &self.cache, LAYER, jobs, queries, self.score_scale(), out);
    }

    fn all(&self, backend: Backend, pool: &Pool) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.queries.len() / self.stride * self.heads * self.head];
        self.run(backend, pool, &self.jobs(), &mut out);
        out
    }

    /// Attention of the last row of the first sequence, in double precision, without quantising anything.
    fn exact(&self, head: usize) -> Vec<f64> {
        let (_, rows, visible) = &self.sequences[0];
        let kv_head = head / (self.heads / self.kv_heads);
        let query = &self.queries[(rows - 1) * self.stride + head * self.head..][..self.head];
        let vector =
            |all: &[f32], j: usize, d: usize| f64::from(all[(j * self.kv_heads + kv_head) * self.head + d]);
        let length = visible + rows - 1;
        let scores: Vec<f64> = (0..length)
            .map(|j| {
                let product = (0..self.head).map(|d| f64::from(query[d]) * vector(&self.keys, j, d));
                product.sum::<f64>() * f64::from(self.score_scale())
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp2()).collect();
        let total: f64 = powers.iter().sum();
        (0..self.head)
            .map(|d| (0..length).map(|j| powers[j] / total * vector(&self.values, j, d)).sum())
            .collect()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All backends and numbers of threads, against the reference.
fn check(world: &World, what: &str) {
    let expected = world.all(Backend::Scalar, &Pool::single());
    assert!(expected.iter().all(|value| !value.is_nan()), "{what}");
    for backend in Backend::available() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).unwrap();
            let got = world.all(backend, &pool);
            assert!(bits(&got) == bits(&expected), "{backend}, {threads} threads, {what}");
        }
    }
}

#[test]
fn every_head_size() {
    for head in (16..=256).step_by(16) {
        let world = World::new(Kind::Normal, head as u64, head, 2, 3, &[(5, 62), (1, 100)]);
        check(&world, &format!("heads of {head}"));
    }
}

#[test]
fn every_group_and_number_of_queries() {
    for group in 1..=14 {
        for rows in [1, 2, 5] {
            let world = World::new(Kind::Normal, 3, 32, 1, group, &[(rows, 70)]);
            check(&world, &format!("{rows} rows of {group} heads"));
        }
    }
}

#[test]
fn visible_positions_around_the_borders_of_pages() {
    for visible in [1, 2, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 192, 193] {
        let world = World::new(Kind::Scales, visible as u64, 48, 2, 2, &[(3, visible)]);
        check(&world, &format!("{visible} visible"));
    }
}

#[test]
fn hostile_values() {
    for kind in KINDS {
        for (head, visible) in [(16, 5), (64, 200), (256, 130)] {
            let world = World::new(kind, 9, head, 1, 4, &[(2, visible)]);
            check(&world, &format!("{kind:?}, heads of {head}, {visible} visible"));
        }
    }
}

#[test]
fn long_contexts_in_parts() {
    // Few queries and many pages: parts of them go to different threads.
    let world = World::new(Kind::Normal, 5, 32, 1, 2, &[(1, 6_000), (2, 3_333)]);
    check(&world, "long contexts");
}

#[test]
fn the_longest_context_overflows_nothing() {
    let (head, length) = (16, MAX_PAGES * PAGE_POSITIONS);
    let job = Job { pages: &[0; MAX_PAGES], first: 0, rows: 1, visible: length };
    let queries = Queries { values: &[1.0; 32], stride: 32, heads: 2 };
    // With some of them, all weights are the largest, which is rounded down a little.
    for value in [-0.5, 0.3, 1.1, -100.7] {
        let mut cache = [Page::new(LAYERS, 1, head)];
        for slot in 0..PAGE_POSITIONS {
            cache[0].store(Backend::Scalar, LAYER, 0, slot, &[1.0; 16], &[value; 16]);
        }
        let mut expected = Vec::new();
        for backend in Backend::available() {
            for threads in [1, 5] {
                let mut out = vec![0.0; 32];
                let pool = Pool::new(threads).unwrap();
                attention(backend, &pool, &cache, LAYER, &[job], queries, 0.25, &mut out);
                assert!(out.iter().all(|out| (out / value - 1.0).abs() < 5e-5), "{out:?}");
                expected = if expected.is_empty() { bits(&out) } else { expected };
                assert_eq!(bits(&out), expected, "{backend}, {threads} threads");
            }
        }
    }
}

#[test]
#[should_panic(expected = "1025 pages of a sequence")]
fn longer_contexts_are_refused() {
    let job = Job { pages: &[0; MAX_PAGES + 1], first: 0, rows: 2, visible: MAX_PAGES * PAGE_POSITIONS };
    let queries = Queries { values: &[1.0; 32], stride: 16, heads: 1 };
    let cache = [Page::new(1, 1, 16)];
    attention(Backend::best(), &Pool::single(), &cache, 0, &[job], queries, 0.25, &mut [0.0; 32]);
}

#[test]
fn rows_may_be_divided_into_any_jobs() {
    let world = World::new(Kind::Normal, 6, 64, 2, 7, &[(20, 50), (1, 300), (9, 1)]);
    for backend in Backend::available() {
        let expected = world.all(backend, &Pool::single());
        let width = world.heads * world.head;
        let mut out = vec![-7.0; expected.len()];
        for job in world.jobs() {
            // One by one, backwards; all other rows are left as they are.
            for row in (0..job.rows).rev() {
                let (before, at) = (out.clone(), job.first + row);
                let one = Job { first: at, rows: 1, visible: job.visible + row, ..job };
                world.run(backend, &Pool::single(), &[one], &mut out);
                assert_eq!(bits(&out[at * width..][..width]), bits(&expected[at * width..][..width]));
                assert_eq!(out[..at * width], before[..at * width]);
                assert_eq!(out[(at + 1) * width..], before[(at + 1) * width..]);
            }
        }
        let halves: Vec<_> = world
            .jobs()
            .into_iter()
            .flat_map(|job| {
                let half = job.rows / 2;
                let second = Job {
                    first: job.first + half,
                    rows: job.rows - half,
                    visible: job.visible + half,
                    ..job
                };
                [Job { rows: half, ..job }, second]
            })
            .filter(|job| job.rows > 0)
            .collect();
        world.run(backend, &Pool::new(2).unwrap(), &halves, &mut out);
        assert_eq!(bits(&out), bits(&expected), "{backend}");
    }
}

/// The largest and the mean error of the last row, in relation to the largest value.
fn errors(world: &World) -> (f64, f64) {
    let out = world.all(Backend::best(), &Pool::single());
    let last = world.sequences[0].1 - 1;
    let largest = world.values.iter().fold(0.0f64, |largest, value| largest.max(f64::from(value.abs())));
    let (mut worst, mut sum) = (0.0f64, 0.0);
    for head in 0..world.heads {
        let out = &out[(last * world.heads + head) * world.head..][..world.head];
        for (out, exact) in out.iter().zip(world.exact(head)) {
            let error = (f64::from(*out) - exact).abs() / largest;
            worst = worst.max(error);
            sum += error;
        }
    }
    (worst, sum / (world.heads * world.head) as f64)
}

#[test]
fn close_to_attention_in_floats() {
    for (head, visible) in [(64, 1), (64, 10), (64, 500), (128, 1_000), (256, 300)] {
        let world = World::new(Kind::Normal, 11, head, 2, 4, &[(1, visible)]);
        let (worst, mean) = errors(&world);
        assert!(worst < 0.008 && mean < 0.002, "{head} {visible}: {worst} {mean}");
    }
    // One key has all the weight, so that only its value's quantisation is left.
    let world = World::new(Kind::Dominant, 12, 64, 2, 4, &[(1, 501)]);
    let (worst, mean) = errors(&world);
    assert!(worst < 0.01 && mean < 0.002, "{worst} {mean}");
}

#[test]
fn a_long_flat_context_keeps_its_mass_beside_a_sink() {
    // The first key has a score that is higher by 16 powers of two, and a value of zero; all others share a value.
    // They have 8,191 / (8,191 + 65,536) of the weight, each less than 2^-16.
    const LENGTH: usize = 8_192;
    let head = 64;
    let mut cache = Vec::new();
    for _ in 0..LENGTH / PAGE_POSITIONS {
        let mut page = Page::new(LAYERS, 1, head);
        for slot in 0..PAGE_POSITIONS {
            let mut key = [0.0; 64];
            key[0] = if cache.is_empty() && slot == 0 { 16.0 } else { 0.0 };
            let value = if key[0] > 0.0 { [0.0; 64] } else { [0.75; 64] };
            page.store(Backend::Scalar, LAYER, 0, slot, &key, &value);
        }
        cache.push(page);
    }
    let mut query = vec![0.0; head];
    query[0] = 1.0;
    let pages: Vec<_> = (0..cache.len() as u32).collect();
    let job = Job { pages: &pages, first: 0, rows: 1, visible: LENGTH };
    let queries = Queries { values: &query, stride: head, heads: 1 };
    for backend in Backend::available() {
        let mut out = vec![0.0; head];
        attention(backend, &Pool::single(), &cache, LAYER, &[job], queries, 1.0, &mut out);
        let exact = 0.75 * 8_191.0 / (8_191.0 + 65_536.0);
        for value in &out {
            assert!((f64::from(*value) / exact - 1.0).abs() < 1e-3, "{backend}: {value}, not {exact}");
        }
    }
}

/// Set to 1 when the tests are built, this variable makes them rewrite their file.
const UPDATE: Option<&str> = option_env!("FREEWAY_UPDATE_GOLDEN");

#[test]
fn golden_outputs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/attention.txt");
    let mut text = String::new();
    for kind in KINDS {
        for (head, group, rows, visible) in [(16, 1, 1, 1), (64, 7, 9, 60), (128, 4, 1, 700), (80, 2, 3, 129)]
        {
            let world = World::new(kind, 2, head, 2, group, &[(rows, visible)]);
            let out = world.all(Backend::best(), &Pool::single());
            let bytes: Vec<_> = out.iter().flat_map(|value| value.to_le_bytes()).collect();
            let hash = blake3::hash(&bytes);
            let _ =
                writeln!(text, "{kind:?} head {head} group {group} rows {rows} visible {visible}: {hash}");
        }
    }
    if UPDATE == Some("1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = text.lines().zip(known.lines()).find(|(now, known)| now != known);
    assert!(
        known == text,
        "golden vectors differ, first at {differing:?} (now, in the file {})\n\
         A changed vector is a protocol change: machines no longer agree about what a model answers. If that is \
         meant:\n  FREEWAY_UPDATE_GOLDEN=1 cargo test -p freeway-kernels golden",
        path.display(),
    );
}

fn small() -> (World, Vec<f32>) {
    let world = World::new(Kind::Normal, 1, 16, 2, 2, &[(2, 64)]);
    let out = vec![0.0; 2 * 4 * 16];
    (world, out)
}

#[test]
#[should_panic(expected = "2 pages are visible, there are 1")]
fn missing_pages_are_refused() {
    let (world, mut out) = small();
    let job = Job { pages: &[0], ..world.jobs()[0] };
    world.run(Backend::best(), &Pool::single(), &[job], &mut out);
}

#[test]
#[should_panic(expected = "in order of their rows")]
fn overlapping_jobs_are_refused() {
    let (world, mut out) = small();
    let job = world.jobs()[0];
    world.run(Backend::best(), &Pool::single(), &[job, job], &mut out);
}

#[test]
#[should_panic(expected = "rows 0 to 2 are not among")]
fn short_outputs_are_refused() {
    let (world, mut out) = small();
    world.run(Backend::best(), &Pool::single(), &world.jobs(), &mut out[1..]);
}

#[test]
#[should_panic(expected = "pages of different models")]
fn pages_of_other_shapes_are_refused() {
    let (mut world, mut out) = small();
    world.cache[1] = Page::new(LAYERS, 2, 32);
    let jobs = [Job { pages: &[0, 1], ..world.jobs()[0] }];
    world.run(Backend::best(), &Pool::single(), &jobs, &mut out);
}

#[test]
fn nothing_to_do_is_fine() {
    let (world, mut out) = small();
    world.run(Backend::best(), &Pool::single(), &[], &mut out);
    assert!(out.iter().all(|value| *value == 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn backends_agree(
        kind in 0..KINDS.len(),
        seed in any::<u32>(),
        head in 1usize..=16,
        kv_heads in 1usize..4,
        group in 1usize..9,
        jobs in prop::collection::vec((1usize..20, 1usize..300), 1..4),
    ) {
        let world = World::new(KINDS[kind], seed.into(), 16 * head, kv_heads, group, &jobs);
        check(&world, "random shapes");
    }
}
