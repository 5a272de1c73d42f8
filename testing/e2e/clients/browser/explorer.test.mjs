// The explorer as people use it: every page, by eye and by screen reader, with bad input and a node that goes away.

import assert from 'node:assert/strict';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { Network, browse } from './network.mjs';

const { ROOT, SHOTS } = process.env;
const ASSETS = join(ROOT, 'services/explorer/assets');
const HOSTILE = '<img src=x onerror=alert(1)>';
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let network;
let browser;
let page;
let seen;
let kept;
let paths;

async function until(fits, about) {
  for (let tries = 0; tries < 400; tries += 1) {
    const found = await fits();
    if (found) return found;
    await network.block(() => true);
  }
  throw new Error(`this did not happen: ${about}`);
}

before(async () => {
  network = await Network.make();
  browser = await browse([network.base]);
  ({ page, seen } = browser);
  // Its request is longer than one chunk of the hash, and than one lane's first minute.
  kept = await network.receipt(`What is a lane? ${'Tell me all that you know of it. '.repeat(40)}`);
  await until(async () => (await fetch(`${network.base}/v1/work/${kept.interval}/${kept.host}`)).ok, 'the host commits to its work');
  const committed = await until(async () => (await network.get(`/explorer/v1/events?kinds=work.committed&limit=1`)).rows[0], 'the history has it');
  await until(async () => (await network.get('/v1/sprint')).settled !== null, 'a race settles');
  await network.run('endorse', kept.digest, '--bond', '5', '--arbiter', 'host-2', '--blocks', '1000', '--statement', 'it is true', '--from', 'developer');
  const [endorsement] = await until(async () => {
    const { rows } = await network.get('/explorer/v1/endorsements');
    return rows.length > 0 && rows;
  }, 'the endorsement is in the history');
  paths = [
    '/', '/hosts', `/hosts/${kept.host}`, '/sprint', '/epochs', '/epochs/1', '/requests', `/requests/${kept.digest}`,
    `/requests/${kept.interval}/${kept.host}`, '/lanes', `/lanes/${kept.lane}`, '/models', `/models/${kept.root}`, '/prices', '/blocks',
    `/blocks/${committed.height}`, '/transactions', `/tx/${committed.tx}`, '/events', '/parameters', '/endorsements',
    `/endorsements/${endorsement.endorsement}`, `/endorsements?endorser=${endorsement.endorser}`, '/try', '/requests/a/b/c',
  ];
}, { timeout: 600_000 });

after(async () => {
  await browser?.close();
  await network?.remove();
});

async function open(path) {
  await page.goto(network.base + path);
  await drawn();
}

/** The page has its heading, and nothing is loading any more. */
async function drawn() {
  await page.waitForFunction(() => document.querySelector('main h1, main .state') && !document.querySelector('main .bones'));
}

async function text(selector = 'main') {
  return page.locator(selector).innerText();
}

function quiet() {
  assert.deepEqual(seen.errors, [], 'no complaints of the page');
  assert.deepEqual(seen.outside, [], 'nothing asked outside');
}

async function violations() {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html).join(' | ')}`);
}

for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 360]]) {
  test(`every page, ${scheme}, ${width} pixels wide`, async () => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 800 });
    for (const path of paths) {
      await open(path);
      assert.ok((await text()).trim().length > 20, `${path} is not blank`);
      assert.equal(await page.locator('main .state.error').count(), 0, `${path} shows no error: ${await text()}`);
      const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(needed <= there, `${path} fits into ${there} pixels, not ${needed}`);
      assert.deepEqual(await violations(), [], `${path} can be used by all`);
      if (SHOTS) {
        await mkdir(SHOTS, { recursive: true });
        await page.screenshot({ path: join(SHOTS, `${path.replace(/[^a-z0-9]+/gi, '-').slice(1, 40) || 'now'}.${scheme}.${width}.png`), fullPage: true });
      }
    }
    quiet();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1280, height: 900 });
  });
}

test('each figure leads to the transactions that it comes from', async () => {
  await open('/');
  await page.waitForSelector('.figures');
  const figures = await page.locator('.figures .figure').count();
  const ways = await page.locator('.figures a.figure').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
  assert.equal(figures, 8);
  assert.equal(ways.length, figures, 'each figure is a link');
  for (const way of ways) {
    await open(way);
    assert.equal(await page.locator('main .state.error').count(), 0, `${way}: ${await text()}`);
  }
  await open(ways.find((way) => way.includes('work.commit')));
  const first = await page.locator('main a[href^="/tx/"]').first().getAttribute('href');
  await page.click(`main a[href="${first}"]`);
  await page.waitForFunction(() => document.querySelector('main')?.innerText.includes('work.commit'));
  quiet();
});

test('the page moves with the chain', async () => {
  await open('/');
  const height = () => page.locator('.pulse a').innerText();
  const was = await height();
  await page.waitForFunction((before) => document.querySelector('.pulse a').innerText !== before, was);
  await page.click('nav a[href="/sprint"]');
  await drawn();
  assert.equal(new URL(page.url()).pathname, '/sprint');
  await page.goBack();
  await page.waitForSelector('.figures');
  quiet();
});

test('keys alone are enough', async () => {
  await open('/hosts');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.locator('nav a[href="/lanes"]').focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.pathname === '/lanes' && document.activeElement.id === 'main');
  quiet();
});

test('digests are those of the protocol', async () => {
  const lines = (await readFile(join(ROOT, 'protocol/primitives/tests/golden.txt'), 'utf8')).split('\n').map((line) => line.split(' '));
  const golden = (name) => lines.find(([one]) => one === name);
  await open('/');
  const made = await page.evaluate(async ([word, key]) => {
    const { digest } = await import('/assets/blake3.js');
    const { address, hex, unhex } = await import('/assets/verify.js');
    return {
      digest: hex(digest('freeway 1 golden', unhex(word))),
      address: address(digest('freeway 1 address', unhex(key))),
    };
  }, [golden('digest')[1], golden('public-key.0')[1]]);
  assert.equal(made.digest, golden('digest')[2]);
  assert.equal(made.address, golden('public-key.0')[2]);
  const [holds, other] = await page.evaluate(async ([key, word, signature]) => {
    const { holds: check, unhex } = await import('/assets/verify.js');
    const changed = unhex(signature);
    changed[3] ^= 1;
    return [await check(key, unhex(word), unhex(signature)), await check(key, unhex(word), changed)];
  }, [golden('public-key.0')[1], golden('raw-signature.0')[1], golden('raw-signature.0')[2]]);
  assert.deepEqual([holds, other], [true, false]);
  quiet();
});

async function checks(receipt) {
  await page.fill('#receipt', typeof receipt === 'string' ? receipt : JSON.stringify(receipt));
  await page.click('button.first');
  await page.waitForFunction(() => document.querySelector('main .checks, main form ~ div .state') && !document.querySelector('main .bones'));
  return page.locator('main .checks .mark').allInnerTexts();
}

test('a receipt is checked in the browser', async () => {
  await open('/requests');
  assert.deepEqual(await checks(kept), ['✓', '✓', '✓', '✓', '✓', '✓']);
  assert.match(await text(), /matured|not yet/);
  await open('/requests');
  const signature = kept.artifact.slice(2 * 196, 2 * 196 + 2) === '00' ? '01' : '00';
  assert.deepEqual(await checks({ ...kept, artifact: kept.artifact.slice(0, 2 * 196) + signature + kept.artifact.slice(2 * 196 + 2) }), ['✓', '✓', '✓', '✗', '✓', '✓']);
  await open('/requests');
  assert.deepEqual(await checks({ ...kept, fee: '1' }), ['✓', '✗', '✓', '✓', '✓', '✓']);
  await open('/requests');
  // Another sequence number in what was signed: nothing of it stands any more.
  const forged = kept.artifact.slice(0, 80) + (kept.artifact.slice(80, 82) === '07' ? '08' : '07') + kept.artifact.slice(82);
  const [, said, , signed, , place] = await checks({ ...kept, artifact: forged, sequence: kept.artifact.slice(80, 82) === '07' ? 8 : 7 });
  assert.deepEqual([said, signed, place], ['✗', '✗', '✗']);
  for (const wrong of ['', '{', '[]', '{"artifact":"zz"}', JSON.stringify({ ...kept, artifact: kept.artifact.slice(0, 300) }), JSON.stringify({ ...kept, artifact: 'zz' })]) {
    await open('/requests');
    await checks(wrong);
    assert.ok(!(await page.locator('main .checks .mark').allInnerTexts()).includes('✓'), wrong.slice(0, 40));
  }
  quiet();
});

test('a request is found by lane, number and host', async () => {
  await open('/requests');
  await page.fill('#of-lane', String(kept.lane));
  await page.fill('#of-sequence', String(kept.sequence));
  await page.fill('#of-host', kept.host);
  await page.press('#of-host', 'Enter');
  await page.waitForSelector('main .checks .good');
  assert.match(await text(), new RegExp(kept.digest));
  quiet();
});

test('bad input has a clear answer', async () => {
  for (const path of [
    '/blocks/99999999999', '/blocks/-1', '/blocks/%3Cscript%3E', '/tx/xyz', `/tx/${'0'.repeat(64)}`, '/hosts/fwy1nobody', `/hosts/${encodeURIComponent(HOSTILE)}`,
    '/lanes/18446744073709551615', '/lanes/x', '/events?from=9&to=2', '/events?kinds=%00', '/transactions?from=zzz', '/epochs/99999999', '/models/xyz',
    '/endorsements/7777', '/endorsements?endorser=nobody', '/requests/xyz', '/requests/99999/fwy1nobody', '/%E0%A4%A', '/try?api=javascript:alert(1)',
  ]) {
    await page.goto(network.base + path).catch(() => {});
    await page.waitForFunction(() => !document.querySelector('main .bones'));
    assert.ok((await text('body')).trim().length > 20, `${path} is not blank`);
  }
  quiet();
});

test('hostile words stay words', async () => {
  await network.run('host', 'update', '--from', 'host-1', '--operator', HOSTILE, '--region', '"><script>alert(2)</script>');
  await open('/hosts');
  await page.waitForFunction((words) => document.querySelector('main').innerText.includes(words), HOSTILE);
  assert.equal(await page.locator('main img, main script').count(), 0);
  await open('/sprint');
  // Then every word that the node says, on every page: names, models, problems, sources.
  const spoil = (value) => {
    if (Array.isArray(value)) return value.map(spoil);
    if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, spoil(inner)]));
    return typeof value === 'string' && !/^(\d+|[0-9a-f]{64}|fwy1[a-z0-9]+|[\d.]+ FWY)$/.test(value) ? HOSTILE : value;
  };
  const spoiled = async (route) => {
    const answer = await route.fetch();
    if (!/json/.test(answer.headers()['content-type'] ?? '')) return route.fulfill({ response: answer });
    return route.fulfill({ response: answer, json: spoil(await answer.json()) });
  };
  await page.route(/\/v1\/(?!live)/, spoiled);
  for (const path of paths) {
    await page.goto(network.base + path);
    await drawn();
    assert.equal(await page.locator('main img, main script, main iframe').count(), 0, path);
    const ways = await page.locator('a[href]').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
    assert.ok(ways.every((way) => /^(\/|#|\?|https?:)/.test(way)), `${path}: ${ways.filter((way) => !/^(\/|#|\?|https?:)/.test(way))}`);
  }
  await page.unroute(/\/v1\/(?!live)/, spoiled);
  await network.run('host', 'update', '--from', 'host-1', '--operator', 'host-1', '--region', 'local');
  quiet();
});

test('a node that is behind says so', async () => {
  const now = await network.get('/explorer/v1/now');
  const told = async (more, line) => {
    const body = `event: now\ndata: ${JSON.stringify({ ...now, ...more })}\n\n`;
    const tell = (route) => route.fulfill({ contentType: 'text/event-stream', body });
    await page.route('**/explorer/v1/live', tell);
    await open('/');
    await page.waitForFunction((words) => document.querySelector('#notice').innerText.includes(words), line);
    await page.waitForSelector('.figures');
    await page.unroute('**/explorer/v1/live', tell);
  };
  await told({ node: { synced: false, behind_ms: 7_200_000 } }, 'catching up');
  await told({ history: { state: 'catching_up', height: 5, behind: 1_000, first: 1, complete: true, problem: null } }, 'being read');
  await told({ history: { state: 'stopped', height: 5, behind: 1_000, first: 3, complete: false, problem: HOSTILE } }, HOSTILE);
  assert.match(await text(), /from block 3/);
  // Nothing has happened yet, and prices of others that a person wrote down.
  await told({
    capacity: null, tokens: null, useful: null, money: null, node: { synced: false, behind_ms: 1 },
    reference_prices: [{ name: HOSTILE, input: '0.15 USD', output: '0.60 USD', source: 'javascript:alert(1)', date: '2026-10-01' },
      { name: 'Elsewhere', input: '1', output: '2', source: 'https://example.org/prices', date: '2026-10-02' }],
  }, 'catching up');
  assert.match(await text(), /0\.15 USD[\s\S]*2026-10-01[\s\S]*example\.org[\s\S]*2026-10-02/);
  assert.equal(await page.locator('main a[href^="javascript"], main img').count(), 0);
  await open('/');
  quiet();
});

test('it speaks Chinese, and all of it', async () => {
  const { default: words } = await import(`data:text/javascript,${encodeURIComponent(await readFile(join(ASSETS, 'zh.js'), 'utf8'))}`);
  const files = [...(await readdir(ASSETS)).map((name) => name), ...(await readdir(join(ASSETS, 'pages'))).map((name) => join('pages', name))];
  for (const file of files.filter((name) => name.endsWith('.js') && name !== 'zh.js')) {
    const code = await readFile(join(ASSETS, file), 'utf8');
    for (const [, said] of code.matchAll(/\bt\('((?:[^'\\]|\\.)*)'/g)) {
      assert.ok(words[said], `${file}: ${said}`);
      const names = (sentence) => [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
      assert.deepEqual(names(words[said]), names(said), said);
    }
  }
  await open('/');
  await page.click('button[lang="zh-CN"]');
  await page.waitForFunction(() => document.documentElement.lang === 'zh-CN' && document.querySelector('nav a').innerText === '现在');
  for (const path of ['/', '/sprint', '/requests']) {
    await open(path);
    assert.deepEqual(await violations(), [], path);
  }
  await page.click('.foot button[lang="en"]');
  await page.waitForFunction(() => document.documentElement.lang === 'en');
  quiet();
});

test('light and dark can be chosen', async () => {
  await open('/');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click('.foot button >> text=Dark colours');
  assert.notEqual(await ground(), light);
  await page.reload();
  await drawn();
  assert.notEqual(await ground(), light, 'the choice stays');
  await page.click('.foot button >> text=Light colours');
  assert.equal(await ground(), light);
  quiet();
});

test('all of it is small', async () => {
  let sum = 0;
  for (const path of ['/', ...(await readdir(ASSETS, { recursive: true })).filter((name) => /\.(js|css|svg)$/.test(name)).map((name) => `/assets/${name}`)]) {
    const answer = await page.request.get(network.base + path, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(answer.status(), 200, path);
    sum += Number(answer.headers()['content-length'] ?? (await answer.body()).length);
  }
  assert.ok(sum < 300_000, `${sum} bytes`);
});

test('a node that goes away and comes back', async () => {
  await open('/hosts');
  const before = await text('main table');
  await network.stop();
  await page.waitForSelector('.notice.bad');
  assert.equal(await text('main table'), before, 'the page keeps what it had');
  await page.click('nav a[href="/lanes"]');
  await page.waitForSelector('main .state.error');
  await network.start();
  await page.waitForFunction(() => !document.querySelector('.notice.bad'));
  await page.waitForFunction(() => document.querySelector('main table'));
  const was = await text('.pulse a');
  await page.waitForFunction((height) => document.querySelector('.pulse a').innerText !== height, was);
  assert.deepEqual(seen.errors, []);
});

test('a talk with a receipt', async () => {
  const { origin } = new URL(network.api);
  await open('/try');
  await page.waitForFunction((api) => document.querySelector('#api').value === api, network.api);
  await page.fill('#key', 'wrong');
  await page.fill('#question', 'What is Freeway?');
  await page.click('button.first');
  await page.waitForFunction(() => /key|密钥/i.test(document.querySelector('main [role=status]').innerText));
  await page.fill('#key', network.key);
  await page.click('button.first');
  await page.waitForSelector('main .said.other ~ p button');
  assert.ok((await text('.said.other')).length > 5);
  await page.click('main .said.other ~ p button');
  await page.waitForSelector('main .checks');
  const marks = await page.locator('main .checks .mark').allInnerTexts();
  assert.deepEqual(marks.slice(0, 5), ['✓', '✓', '✓', '✓', '✓'], await text('main .checks'));
  if (SHOTS) await page.screenshot({ path: join(SHOTS, 'verified.png'), fullPage: true });
  // The key goes nowhere else, whatever a link says.
  await open('/try?api=https%3A%2F%2Felsewhere.example%2Fv1');
  assert.equal(await page.inputValue('#key'), '');
  await open('/try');
  assert.equal(await page.inputValue('#key'), network.key);
  assert.deepEqual(seen.errors, []);
  assert.ok(seen.outside.every((url) => url.startsWith(origin)), seen.outside.join());
});
