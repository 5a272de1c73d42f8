// What the pages cost who looks at them: the time until there is something useful, and until a block is seen.

import { Network, browse } from './network.mjs';

const VISITS = 15;
const BLOCKS = 60;

/** Keeps in the page when its figures were drawn, and when each height was. */
function watch() {
  globalThis.measured = { useful: null, heights: [] };
  const look = () => {
    const { measured } = globalThis;
    if (measured.useful === null && document.querySelector('main .figures') && !document.querySelector('main .bones')) {
      measured.useful = 0;
      // The second frame after the change is on the screen.
      requestAnimationFrame(() => requestAnimationFrame(() => { measured.useful = performance.now(); }));
    }
    const height = Number(document.querySelector('.pulse a')?.innerText.replace(/\D/g, ''));
    if (height > (measured.heights.at(-1)?.[0] ?? 0)) measured.heights.push([height, Date.now()]);
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}

function show(what, values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]);
  console.log(`${what}: middle ${at(0.5)} ms, slowest ${at(1)} ms, of ${sorted.length}`);
}

async function visit(page, base) {
  await page.goto(`${base}/`);
  await page.waitForFunction(() => globalThis.measured.useful > 0);
  return page.evaluate(() => [performance.getEntriesByName('first-contentful-paint')[0].startTime, globalThis.measured.useful]);
}

const network = await Network.make();
try {
  for (let block = { height: 0 }; block.height < 20;) block = await network.block(() => true);
  const [cold, warm] = [[], []];
  for (let i = 0; i < VISITS; i += 1) {
    // A new profile each time: nothing is in a cache, as for somebody who never was here.
    const browser = await browse([network.base]);
    try {
      await browser.page.addInitScript(watch);
      cold.push(await visit(browser.page, network.base));
      warm.push(await visit(browser.page, network.base));
    } finally {
      await browser.close();
    }
  }
  show('first visit, first paint', cold.map(([paint]) => paint));
  show('first visit, figures drawn', cold.map(([, useful]) => useful));
  show('next visit, first paint', warm.map(([paint]) => paint));
  show('next visit, figures drawn', warm.map(([, useful]) => useful));

  const browser = await browse([network.base]);
  await browser.page.addInitScript(watch);
  await visit(browser.page, network.base);
  const [told, made] = [new Map(), new Map()];
  let blocks = 0;
  await network.block(async ({ height, time_ms: time }) => {
    told.set(height, Date.now());
    if (time) made.set(height, time);
    blocks += 1;
    return blocks > BLOCKS;
  });
  const seen = await browser.page.evaluate(() => globalThis.measured.heights);
  const since = (from) => seen.filter(([height]) => from.has(height)).map(([height, time]) => time - from.get(height));
  show('from the node\'s word of a block to the page', since(told));
  if (made.size > 0) show('from the time in a block, before it is agreed on, to the page', since(made));
  await browser.close();
} finally {
  await network.remove();
}
