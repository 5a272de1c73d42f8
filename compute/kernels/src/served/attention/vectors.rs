//! The work of a call in blocks of queries, for backends with vectors.

use core::ops::Range;

use super::block::{Block, Kernel, QUERIES};
use super::{Call, PAGE_POSITIONS, Target};
use crate::pool::Pool;

/// Pages of a part of a block that is worth another thread.
const PART_PAGES: usize = 16;

/// Queries of one job that share their keys.
#[derive(Clone, Debug)]
struct Task {
    job: usize,
    kv_head: usize,
    /// Among those of the job, by rows, then heads of the group.
    queries: Range<usize>,
}

/// Computes everything.
///
/// # Safety
///
/// The processor has the features of the kernel, and as for [`Target::store`].
pub(super) unsafe fn run(call: &Call<'_>, pool: &Pool, kernel: Kernel, target: &Target) {
    let mut tasks = Vec::new();
    let (mut steps, mut longest) = (0u64, 0);
    for (index, job) in call.jobs.iter().enumerate() {
        let queries = job.rows * call.group;
        let size = queries.div_ceil(queries.div_ceil(QUERIES));
        for kv_head in 0..call.queries.heads / call.group {
            tasks.extend((0..queries).step_by(size).map(|start| {
                let queries = start..(start + size).min(queries);
                Task { job: index, kv_head, queries }
            }));
        }
        steps = steps.saturating_add(call.steps(job.rows * call.queries.heads, job.visible + job.rows / 2));
        longest = longest.max(pages_of(call, &tasks[tasks.len() - 1]));
    }
    // Few long blocks are divided once more, so that all threads have some of it.
    let parts = (2 * pool.threads()).div_ceil(tasks.len()).min(longest / PART_PAGES);
    // SAFETY: the caller's promises, in both cases.
    unsafe {
        if parts > 1 && pool.threads() > 1 {
            in_parts(call, pool, kernel, target, &tasks, steps, parts);
        } else {
            whole(call, pool, kernel, target, &tasks, steps);
        }
    }
}

/// Blocks as a whole: both passes by the same thread.
///
/// # Safety
///
/// As for [`run`]; tasks are disjoint.
unsafe fn whole(call: &Call<'_>, pool: &Pool, kernel: Kernel, target: &Target, tasks: &[Task], steps: u64) {
    pool.ranges(steps, tasks.len(), |range| {
        let mut block = Block::default();
        for task in &tasks[range] {
            let pages = call.pages(&call.jobs[task.job], task.kv_head);
            begin(call, kernel, task, 0..pages_of(call, task), &mut block);
            // SAFETY: the caller's promises.
            unsafe {
                block.scores(kernel, &pages, call.score_scale);
                block.values(kernel, &pages);
                finish(call, task, &block, target);
            }
        }
    });
}

/// Blocks in `parts` parts of their pages, which may be computed at the same time.
///
/// # Safety
///
/// As for [`run`]; tasks are disjoint.
unsafe fn in_parts(
    call: &Call<'_>,
    pool: &Pool,
    kernel: Kernel,
    target: &Target,
    tasks: &[Task],
    steps: u64,
    parts: usize,
) {
    let mut blocks = Vec::new();
    blocks.resize_with(tasks.len() * parts, Block::default);
    pool.chunks(steps / 2, &mut blocks, 1, |index, block| {
        let (task, part, block) = (&tasks[index / parts], index % parts, &mut block[0]);
        let end = pages_of(call, task);
        begin(call, kernel, task, end * part / parts..end * (part + 1) / parts, block);
        let pages = call.pages(&call.jobs[task.job], task.kv_head);
        // SAFETY: the caller's promise.
        unsafe { block.scores(kernel, &pages, call.score_scale) };
    });
    for blocks in blocks.chunks_mut(parts) {
        let (first, others) = blocks.split_at_mut(1);
        others.iter().for_each(|other| first[0].join_largest(other));
        others.iter_mut().for_each(|other| other.set_largest(&first[0]));
    }
    pool.chunks(steps / 2, &mut blocks, 1, |index, block| {
        let task = &tasks[index / parts];
        let pages = call.pages(&call.jobs[task.job], task.kv_head);
        // SAFETY: the caller's promise.
        unsafe { block[0].values(kernel, &pages) };
    });
    for (blocks, task) in blocks.chunks_mut(parts).zip(tasks) {
        let (first, others) = blocks.split_at_mut(1);
        others.iter().for_each(|other| first[0].join_sums(other));
        // SAFETY: the caller's promise.
        unsafe { finish(call, task, &first[0], target) };
    }
}

/// How many pages the last query of a task sees.
fn pages_of(call: &Call<'_>, task: &Task) -> usize {
    let last_row = (task.queries.end - 1) / call.group;
    (call.jobs[task.job].visible + last_row).div_ceil(PAGE_POSITIONS)
}

fn begin(call: &Call<'_>, kernel: Kernel, task: &Task, pages: Range<usize>, block: &mut Block) {
    let job = &call.jobs[task.job];
    let queries = task.queries.clone().map(|query| {
        let (row, head) = (query / call.group, task.kv_head * call.group + query % call.group);
        (call.query(job.first + row, head), job.visible + row)
    });
    block.begin(kernel, pages, call.head, queries);
}

/// # Safety
///
/// As for [`Target::store`].
unsafe fn finish(call: &Call<'_>, task: &Task, block: &Block, target: &Target) {
    for (query, output) in task.queries.clone().zip(block.outputs()) {
        let (row, head) = (query / call.group, task.kv_head * call.group + query % call.group);
        // SAFETY: the caller's promise.
        unsafe { target.store(call.jobs[task.job].first + row, head, output) };
    }
}
