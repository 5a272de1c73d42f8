// Requests: a receipt's whole life, and a check of it in the reader's own browser.

import { Problem, at, get, maybe, octets } from '../api.js';
import { fill, h } from '../dom.js';
import { coins, ends, money, moment, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, bones, digest, downloads, empty, facts, failed, head, link, list as listed, panel, rows, table, tag } from '../parts.js';
import { Damaged, artifact, fee, holds, leaf as read, named, opens, signed } from '../verify.js';

/** The key under which *Try it* leaves a receipt for this page. */
export const HANDED = 'receipt';

const MAX_FILE = 8 << 20;
const MAX_INTERVALS = 12;

function moves(value) {
  return Object.keys(value.kinds ?? {}).some((kind) => /^(work|verification)\./.test(kind));
}

function result(name, holding, about) {
  const mark = holding === true ? ['✓', 'good', t('holds')] : holding === false ? ['✗', 'bad', t('does not hold')] : ['–', 'soft', t('not known')];
  return h('li', {}, h('span', { class: `mark ${mark[1]}`, 'aria-hidden': 'true' }, mark[0]),
    h('div', {}, h('strong', {}, name), ' ', h('span', { class: mark[1] }, mark[2]), about ? h('p', {}, about) : null));
}

/** A leaf as its host shows it, by way of this node. `null` if the host shows none. */
async function shown(interval, host, lane, sequence, signal) {
  const bytes = await octets(at(['explorer', 'v1', 'leaf', String(interval), host, String(lane), String(sequence)]), signal);
  return read(bytes);
}

/** The keys and prices that the chain names for a host's share of a lane; of the receipt if the lane is over. */
async function terms(kept, signal) {
  const lane = await maybe(at(['v1', 'lanes', String(kept.lane)]), signal);
  const share = lane?.shares.find((one) => one.host === kept.host);
  if (share) return { key: share.key, prices: lane.prices, model: lane.model, from: t('the lane on the chain') };
  const host = await maybe(at(['v1', 'hosts', kept.host]), signal);
  return { key: host?.consensus_key ?? null, prices: kept.prices, model: kept.root, from: t('the lane is over: key of the host’s record, prices as the gateway remembers them') };
}

async function included(what, signal) {
  const commitment = await maybe(at(['v1', 'work', String(what.interval), what.host]), signal);
  if (!commitment) {
    const work = await get('/v1/work', signal);
    const about = work.interval <= what.interval + 1
      ? t('The host may still commit to interval {interval}; ask again in a minute.', { interval: whole(what.interval) })
      : t('The host did not commit to interval {interval}, or the chain does not keep it any more.', { interval: whole(what.interval) });
    return { commitment: null, holding: null, about };
  }
  let leaf;
  try {
    leaf = await shown(what.interval, what.host, what.lane, what.sequence, signal);
  } catch (error) {
    if (error instanceof Damaged) return { commitment, holding: false, about: t('What the host shows is no leaf.') };
    if (!(error instanceof Problem)) throw error;
    return { commitment, holding: error.missing ? false : null, about: error.missing ? t('The host shows no leaf for it. A payer can make it answer: freeway report') : t('The host cannot be asked now: {problem}', { problem: words(error.message, 160) }) };
  }
  const branch = commitment.branches[leaf.branch];
  const fits = leaf.interval === BigInt(what.interval) && leaf.entry.lane === BigInt(what.lane) && leaf.entry.sequence === BigInt(what.sequence)
    && named(leaf.entry) === leaf.opening.digest && leaf.entry.sums.fees === leaf.opening.sums.fees && leaf.entry.sums.tokens === leaf.opening.sums.tokens
    && (!what.receipt || leaf.entry.receipt === what.receipt) && branch !== undefined && opens(leaf.opening, branch);
  return {
    commitment, leaf, holding: fits,
    about: fits ? t('Leaf {index} of {count}: {levels} steps of the path lead to the root that the host committed to.', { index: whole(leaf.opening.index + 1n), count: whole(branch.count), levels: whole(leaf.opening.path.length) })
      : t('The leaf that the host shows does not lead to the root on the chain.'),
  };
}

/** All checks of a kept receipt. */
async function verify(kept, signal) {
  const { chain } = await get('/v1/status', signal);
  const lines = [];
  let mine;
  try {
    mine = artifact(kept.artifact);
  } catch (error) {
    if (!(error instanceof Damaged) && !(error instanceof RangeError)) throw error;
    return { lines: [result(t('Receipt'), false, t('Its bytes are damaged. Get it again from the gateway that keeps it.'))] };
  }
  const { receipt } = mine;
  const said = receipt.digest === kept.digest && receipt.host === kept.host && receipt.lane === BigInt(kept.lane) && receipt.sequence === BigInt(kept.sequence)
    && receipt.interval === BigInt(kept.interval) && String(receipt.fee) === String(kept.fee);
  lines.push(result(t('This network'), chain === kept.chain, chain === kept.chain ? null : t('The receipt is of another network.')));
  lines.push(result(t('What it says is what the host signed'), said, t('digest {digest}, computed here with BLAKE3', { digest: ends(receipt.digest, 12, 6) })));
  lines.push(result(t('Request and answer'), mine.request.digest === receipt.request && mine.output.digest === receipt.output && mine.voucher.request === receipt.request
    && BigInt(mine.request.prompt) === receipt.prompt && BigInt(mine.output.tokens) === receipt.completion,
  t('{prompt} tokens in, {cached} of them cached, {completion} out: as many as are charged', { prompt: whole(receipt.prompt), cached: whole(receipt.cached), completion: whole(receipt.completion) })));
  const known = await terms(kept, signal);
  const signature = known.key ? await holds(known.key, signed('freeway 1 receipt', kept.chain, receipt.bytes), mine.signature) : null;
  lines.push(result(t('Signature of the host'), signature, signature === null
    ? (known.key ? t('This browser cannot check Ed25519 signatures here. Open the page over https or on this machine, in a current browser.') : t('The host’s key is not known any more.'))
    : t('Ed25519, with the key of {from}', { from: known.from })));
  const cost = fee(known.prices, receipt);
  lines.push(result(t('Price'), cost === receipt.fee, t('{fee} FWY charged, {cost} FWY by the prices', { fee: coins(receipt.fee), cost: coins(cost) })));
  const place = await included({ ...kept, receipt: receipt.digest }, signal);
  lines.push(result(t('Place in what the host committed to'), place.holding, place.about));
  return { lines, receipt, place };
}

/** What happened to a commitment, step by step. */
function life(view) {
  const drawn = view.samples.length > 0;
  const asked = view.branches.flatMap((branch) => branch.committee);
  const given = asked.filter((one) => one.verdict);
  const over = view.state !== 'open';
  const steps = [
    [t('Served'), t('lane, voucher, receipt'), true],
    [t('Committed'), t('interval {interval}', { interval: whole(view.interval) }), true],
    [t('Sampled'), drawn ? t('{n} points drawn by their fees', { n: whole(view.samples.length) }) : t('not yet'), drawn],
    [t('Computed again'), asked.length ? t('{given} of {all} verdicts', { given: whole(given.length), all: whole(asked.length) }) : t('not yet'), over || (asked.length > 0 && given.length === asked.length)],
    [t('Decided'), over ? t(view.state.replaceAll('_', ' ')) : t('not yet'), over],
  ];
  const now = steps.findIndex(([, , done]) => !done);
  return h('ol', { class: 'steps' }, steps.map(([name, about, done], index) => h('li', { class: done ? 'done' : null, 'aria-current': index === now || (now < 0 && index === steps.length - 1) ? 'step' : null }, h('strong', {}, name), h('span', {}, about))));
}

/** The sample that a leaf holds, if it was drawn: a point below the fees before and with it. */
function sampled(view, place) {
  if (!place?.leaf || view.samples.length === 0) return null;
  // The fees before a leaf are those of the subtrees to its left.
  let before = 0n;
  let [here, last] = [place.leaf.opening.index, BigInt(view.branches[place.leaf.branch]?.count ?? 1) - 1n];
  for (const beside of place.leaf.opening.path) {
    if (here % 2n === 1n || here === last) {
      before += beside.sums.fees;
      while (here > 0n && here % 2n === 0n) {
        here >>= 1n;
        last >>= 1n;
      }
    }
    here >>= 1n;
    last >>= 1n;
  }
  const after = before + place.leaf.opening.sums.fees;
  return view.samples.filter((one) => one.branch === place.leaf.branch && BigInt(one.point) >= before && BigInt(one.point) < after).length;
}

function story(place) {
  const view = place.commitment;
  if (!view) return null;
  const times = sampled(view, place);
  return [
    h('h3', {}, t('What became of it')),
    life(view),
    times === null ? null : h('p', {}, times > 0 ? t('This request was drawn as a sample {n} times: committee members computed it again.', { n: whole(times) }) : t('This request was not drawn as a sample. Others of the same commitment were, and the host could not know which.')),
    h('p', { class: 'actions' }, link(at(['requests', String(view.interval), view.host]), t('The whole commitment')), link(at(['events'], { kinds: 'lanes.settled', subject: view.host }), t('Settlements of the host'))),
  ];
}

function checker(context) {
  const field = h('textarea', { id: 'receipt', name: 'receipt', spellcheck: 'false', 'aria-describedby': 'receipt-hint', maxlength: String(MAX_FILE) });
  const file = h('input', { type: 'file', id: 'receipt-file', accept: '.json,application/json' });
  const out = h('div', { 'aria-live': 'polite' });
  const check = async (text) => {
    let kept;
    try {
      kept = JSON.parse(text);
      if (typeof kept?.artifact !== 'string' || typeof kept.digest !== 'string' || !Number.isSafeInteger(kept.lane) || !Number.isSafeInteger(kept.sequence) || !Number.isSafeInteger(kept.interval) || !kept.prices) throw new Damaged('no receipt');
    } catch {
      fill(out, empty(t('This is no receipt.'), t('Take all of what freeway receipt show RECEIPT --json prints, from { to }.')));
      return;
    }
    fill(out, bones());
    try {
      const { lines, place } = await verify(kept, context.signal);
      fill(out, h('h3', {}, t('Receipt {digest}', { digest: ends(kept.digest, 12, 6) })),
        h('p', { class: 'soft' }, t('model {model}, {time}, by', { model: words(kept.model, 40), time: moment(kept.time_ms) }), ' ', account(kept.host), ', ', link(at(['lanes', String(kept.lane)]), t('lane {n}', { n: whole(kept.lane) }))),
        h('ul', { class: 'checks' }, lines), place ? story(place) : null,
        h('p', { class: 'soft' }, t('Everything above was computed in this browser from the receipt and the chain’s records as this node tells them. freeway receipt verify also checks the chain’s signatures and computes the answer again.')));
    } catch (error) {
      if (!context.signal.aborted) fill(out, failed(error, () => check(text)));
    }
  };
  file.addEventListener('change', async () => {
    const [chosen] = file.files;
    if (!chosen || chosen.size > MAX_FILE) return;
    field.value = await chosen.text();
    check(field.value);
  });
  let handed = null;
  try {
    handed = sessionStorage.getItem(HANDED);
    sessionStorage.removeItem(HANDED);
  } catch {
    // Without storage there is nothing to take over.
  }
  if (handed) {
    field.value = handed;
    queueMicrotask(() => check(handed));
  }
  return h('section', { class: 'panel', 'aria-label': t('Verify a receipt') }, h('header', {}, h('h2', {}, t('Verify a receipt')),
    h('p', {}, t('The chain knows no single request: a receipt is the payer’s, and stays in this page. It is checked here, in your browser.'))),
  h('form', { on: { submit: (event) => { event.preventDefault(); check(field.value); } } },
    h('div', { class: 'field' }, h('label', { for: 'receipt' }, t('Receipt as JSON')), field,
      h('p', { class: 'hint', id: 'receipt-hint' }, t('From freeway receipt show RECEIPT --json, or from Try it.'))),
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'first' }, t('Verify')),
      h('div', {}, h('label', { for: 'receipt-file', class: 'hidden' }, t('A file with a receipt')), file))),
  out);
}

function finder(context) {
  const input = (id, label, hint, extra = {}) => [h('div', { class: 'field' }, h('label', { for: id }, label), h('input', { id, name: id, autocomplete: 'off', spellcheck: 'false', maxlength: '80', required: true, ...extra }), hint ? h('p', { class: 'hint' }, hint) : null)];
  const out = h('div', { 'aria-live': 'polite' });
  const find = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const what = { host: String(form.get('of-host')).trim(), lane: Number(form.get('of-lane')), sequence: Number(form.get('of-sequence')) };
    fill(out, bones());
    try {
      const done = await rows('events', { kinds: 'work.committed', subject: what.host, limit: MAX_INTERVALS }, context.signal);
      const intervals = [...new Set(done.rows.map((row) => row.interval).filter((one) => one !== null && one !== undefined))];
      for (const interval of intervals) {
        try {
          await shown(interval, what.host, what.lane, what.sequence, context.signal);
        } catch (error) {
          if (error instanceof Problem && (error.missing || error.status === 400)) continue;
          throw error;
        }
        const place = await included({ ...what, interval }, context.signal);
        fill(out, h('ul', { class: 'checks' }, result(t('Place in what the host committed to'), place.holding, place.about)),
          place.leaf ? facts([t('Receipt'), h('code', {}, place.leaf.entry.receipt)], [t('Interval'), whole(interval)], [t('Fee'), money(place.leaf.entry.sums.fees, 9)],
            [t('Fees of the share up to it'), money(place.leaf.entry.total, 9)], [t('Tokens'), whole(place.leaf.entry.sums.tokens)]) : null, story(place));
        return;
      }
      fill(out, empty(t('Not found.'), t('The host shows no such request in the last {n} intervals it committed to. A request that was just served is committed to when its interval ends.', { n: whole(intervals.length) })));
    } catch (error) {
      if (!context.signal.aborted) fill(out, failed(error));
    }
  };
  return h('section', { class: 'panel', 'aria-label': t('Find a request') }, h('header', {}, h('h2', {}, t('Find a request')), h('p', {}, t('By its lane, its number there and its host: what everybody may see of it are digests, its fee and its tokens.'))),
    h('form', { on: { submit: find } }, h('div', { class: 'fields' },
      input('of-lane', t('Lane'), null, { inputmode: 'numeric', pattern: '[0-9]{1,15}' }), input('of-sequence', t('Number'), null, { inputmode: 'numeric', pattern: '[0-9]{1,15}' }), input('of-host', t('Host'), null, { placeholder: 'fwy1…' }),
      h('div', { class: 'press' }, h('button', { type: 'submit' }, t('Find'))))),
    out);
}

function rounds(context) {
  return panel(context, {
    title: t('Being checked now'), when: (value) => moves(value) || true, gap: 4_000,
    load: async (signal) => {
      const view = await get('/v1/work', signal);
      return { interval: view.interval, first: view.first, last: view.last, rounds: view.rounds };
    },
    render: (view) => [
      h('p', { class: 'soft' }, t('Work is committed to by interval; now it is interval {interval}, blocks {first} to {last}.', { interval: whole(view.interval), first: whole(view.first), last: whole(view.last) })),
      table({
        caption: t('Rounds of checking'), rows: view.rounds, none: [t('Nothing is being checked.'), t('After an interval with paid requests, samples of them are drawn and computed again here.')],
        columns: [
          { name: t('Interval'), row: true, cell: (row) => link(at(['events'], { interval: row.interval, kinds: 'work.*,verification.*' }), whole(row.interval)) },
          { name: t('Round'), num: true, cell: (row) => whole(row.round) },
          { name: t('Stage'), cell: (row) => tag(row.stage, '') },
          { name: t('Until block'), num: true, cell: (row) => whole(row.until) },
        ],
      }),
    ],
  });
}

export function page(context) {
  const { what } = context.params;
  const known = /^[0-9a-f]{64}$/i.test(what ?? '');
  return {
    title: t('Requests'),
    nodes: [
      head(t('Requests'), t('A request goes to a host through a lane and ends with a signed receipt. Each host commits to all its receipts; samples are drawn by lot and computed again by others. One wrong bit is proof.')),
      what && !known ? empty(t('There is no such receipt.'), t('A receipt is named by 64 hexadecimal digits.')) : null,
      known ? panel(context, {
        title: t('Receipt {digest}', { digest: ends(what, 12, 6) }), load: (signal) => get(at(['v1', 'receipts', what.toLowerCase(), 'endorsements']), signal),
        render: (view) => [h('p', {}, t('The chain keeps no receipt by itself; paste it below to check it.')), table({
          caption: t('Who answers for it'), rows: view.endorsements, none: [t('Nobody has endorsed it.')],
          columns: [{ name: t('Number'), row: true, cell: (row) => link(at(['endorsements', row.id]), whole(row.id)) }, { name: t('Who answers'), cell: (row) => account(row.endorser) }, { name: t('Left'), num: true, cell: (row) => money(row.left) }],
        })],
      }) : null,
      checker(context),
      finder(context),
      rounds(context),
      listed(context, {
        title: t('What hosts committed to'), name: 'events', query: { kinds: 'work.committed' }, caption: t('Commitments, newest first'), when: moves, gap: 4_000,
        tools: downloads('events', { kinds: 'work.committed,work.matured,work.voided' }),
        none: [t('No host has committed to paid work yet.'), [t('Ask something, through a lane:'), ' ', link('/try', t('Try it'))]],
        columns: [
          { name: t('Interval'), row: true, cell: (row) => link(at(['requests', row.interval, row.subject]), whole(row.interval)) },
          { name: t('Host'), cell: (row) => account(row.subject) },
          { name: t('Fees'), num: true, cell: (row) => money(row.data?.fees ?? '0', 9) },
          { name: t('Block'), num: true, cell: (row) => block(row.height) },
          { name: t('Transaction'), cell: (row) => (row.tx ? h('a', { href: at(['tx', row.tx]), class: 'mono', title: row.tx }, ends(row.tx, 8, 4)) : '–') },
        ],
      }),
    ],
  };
}

export function commitment(context) {
  const { interval, host } = context.params;
  return {
    title: t('Interval {interval}', { interval: words(interval, 16) }),
    nodes: [
      h('p', { class: 'back' }, link('/requests', t('Requests'))),
      head(t('Work of interval {interval}', { interval: words(interval, 16) }), [t('by'), ' ', account(host)]),
      panel(context, {
        title: t('Commitment'), when: moves, gap: 3_000, load: (signal) => maybe(at(['v1', 'work', interval, host]), signal),
        render: (view) => (view ? [
          life(view),
          facts([t('State'), tag(view.state)], [t('Fees'), money(view.fees, 9)], [t('Round'), whole(view.round)], [t('Disputes'), whole(view.disputes)],
            [t('Revealed'), view.reveal === null ? t('not asked') : view.revealed ? t('yes') : tag('owed', 'warn')]),
          view.branches.map((branch) => [
            h('h3', {}, t('Lanes of model {model}', { model: ends(branch.model, 8, 4) })),
            facts([t('Root'), digest(branch.root)], [t('Requests'), whole(branch.count)], [t('Tokens'), whole(branch.tokens)], [t('Fees'), money(branch.fees, 9)]),
            table({
              caption: t('Who computed samples of it again'), rows: branch.committee, none: [t('The committee is not drawn yet.')],
              columns: [
                { name: t('Member'), row: true, cell: (row) => account(row.member) },
                { name: t('Right'), num: true, cell: (row) => (row.verdict ? whole(row.verdict.right) : '–') },
                { name: t('Wrong'), num: true, cell: (row) => (row.verdict ? h('span', { class: row.verdict.wrong ? 'bad' : null }, whole(row.verdict.wrong)) : '–') },
                { name: t('Not shown'), num: true, cell: (row) => (row.verdict ? whole(row.verdict.not_shown) : '–') },
                { name: t('Verdict'), cell: (row) => (row.verdict ? (row.verdict.false ? tag('false', 'bad') : tag('given', 'good')) : tag('owed', 'warn')) },
              ],
            }),
          ]),
          view.trials.length ? table({
            caption: t('Leaves on trial'), rows: view.trials,
            columns: [
              { name: t('Leaf'), row: true, cell: (row) => whole(row.leaf) }, { name: t('Guilty'), num: true, cell: (row) => whole(row.guilty) }, { name: t('Innocent'), num: true, cell: (row) => whole(row.innocent) },
              { name: t('Jury'), num: true, cell: (row) => whole(row.jurors) }, { name: t('Ruling'), cell: (row) => tag(row.ruling ?? 'undecided') },
            ],
          }) : null,
        ] : empty(t('The chain does not keep this commitment.'), t('The host did not commit to that interval, or it is too long ago.'))),
      }),
      listed(context, {
        title: t('What happened'), name: 'events', query: { interval, subject: host }, caption: t('Events, newest first'), when: moves, gap: 3_000,
        none: [t('Nothing in the history that this node keeps.')],
        columns: [
          { name: t('Block'), row: true, cell: (row) => block(row.height) }, { name: t('What'), cell: (row) => h('code', {}, row.kind) },
          { name: t('Transaction'), cell: (row) => (row.tx ? h('a', { href: at(['tx', row.tx]), class: 'mono' }, ends(row.tx, 8, 4)) : t('the block’s own')) },
        ],
      }),
    ],
  };
}
