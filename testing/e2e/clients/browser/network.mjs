// A network of `freeway up` that can be stopped and started again, and a browser that tells what its pages did.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { chromium } from 'playwright-core';

const { FREEWAY, CHROMIUM } = process.env;
const READY_MS = 240_000;

export class Network {
  static async make() {
    const network = new Network();
    network.folder = await mkdtemp(join(tmpdir(), 'freeway-browser-'));
    network.dir = join(network.folder, 'net');
    await network.start();
    return network;
  }

  async start() {
    this.child = spawn(FREEWAY, ['up', '--dir', this.dir, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    this.child.stderr.on('data', (data) => {
      said = (said + data).slice(-4_000);
    });
    const line = once(createInterface(this.child.stdout), 'line', { signal: AbortSignal.timeout(READY_MS) });
    const ended = once(this.child, 'exit').then(() => Promise.reject(new Error(`the network did not start:\n${said}`)));
    ended.catch(() => {});
    const [text] = await Promise.race([line, ended]);
    Object.assign(this, JSON.parse(text));
    this.base = this.rpc[0];
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGINT');
    await ended;
  }

  async remove() {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async run(...words) {
    const child = spawn(FREEWAY, ['--dir', this.dir, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.on('data', (data) => { out += data; });
    child.stderr.on('data', (data) => { out += data; });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`freeway ${words.join(' ')}: ${out}`);
    return out;
  }

  async get(path) {
    const answer = await fetch(this.base + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Waits for a block that fits, by the stream that the pages follow. */
  async block(fits) {
    const leave = new AbortController();
    const answer = await fetch(`${this.base}/explorer/v1/live`, { signal: leave.signal });
    let rest = '';
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      rest += part;
      const events = rest.split('\n\n');
      rest = events.pop();
      for (const event of events) {
        const [, kind] = event.match(/^event: ?(.*)$/m) ?? [];
        if (kind !== 'block') continue;
        const block = JSON.parse(event.match(/^data: ?(.*)$/m)[1]);
        if (await fits(block)) {
          leave.abort();
          return block;
        }
      }
    }
    throw new Error('the stream ended');
  }

  /** Asks until an answer was paid for, and gives its receipt with all that checking takes. */
  async receipt(content) {
    for (;;) {
      const headers = { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' };
      const answer = await fetch(`${this.api}/chat/completions`, {
        method: 'POST', headers, body: JSON.stringify({ model: 'guide', max_tokens: 24, messages: [{ role: 'user', content }] }),
      });
      const name = answer.headers.get('x-freeway-receipt');
      await answer.text();
      if (name) return (await fetch(`${this.api}/receipts/${name}`, { headers })).json();
      await this.block(() => true);
    }
  }
}

/** A browser with an empty profile. `seen` has what its pages complained of and asked outside of `origins`. */
export async function browse(origins) {
  const profile = await mkdtemp(join(tmpdir(), 'freeway-profile-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM, headless: true, viewport: { width: 1280, height: 900 }, locale: 'en-GB',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const seen = { errors: [], outside: [] };
  const watch = (page) => {
    page.on('pageerror', (error) => seen.errors.push(String(error.stack ?? error)));
    page.on('dialog', (dialog) => {
      seen.errors.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    // What the network layer logs is checked where it matters: unknown things are asked for on purpose.
    page.on('console', (message) => message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text()) && seen.errors.push(message.text()));
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol.startsWith('http') && !origins.includes(origin)) seen.outside.push(request.url());
    });
  };
  context.pages().forEach(watch);
  context.on('page', watch);
  const page = context.pages()[0] ?? await context.newPage();
  page.setDefaultTimeout(60_000);
  return {
    page, seen,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
