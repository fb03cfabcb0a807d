// Drives the pages of `distilbert serve` in headless Chromium.
//
//     node run.mjs PROGRAM MODEL_FOLDER SCREENSHOTS
//
// Skips loudly without Chromium, which is $CHROMIUM or /usr/bin/chromium.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';

import axe from 'axe-core';
import { chromium } from 'playwright-core';

import { start } from './server.mjs';

const [program, folder, screenshots] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(executablePath)) {
  console.log(`SKIPPED: the pages were not driven, since there is no Chromium at ${executablePath}`);
  process.exit(0);
}
mkdirSync(screenshots, { recursive: true });

const SIZES = [[400, 800], [1280, 900]];
const SCHEMES = ['light', 'dark'];
const LONG = 'Incomprehensibilities'.repeat(8);

/** Opens a page whose console must stay empty. */
async function open(browser, address, { width = 1280, height = 900, colorScheme = 'light', prepare } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.problems = [];
  page.on('console', (message) => page.problems.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('requestfailed', (request) => {
    // A request that the page gave up for a newer one.
    if (request.failure().errorText !== 'net::ERR_ABORTED') page.problems.push(`${request.url()} failed`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(address).origin)) page.problems.push(`${request.url()} is elsewhere`);
  });
  await prepare?.(page);
  await page.goto(address);
  return page;
}

/** Waits until the page shows the labels and the words of its text. */
async function settled(page) {
  await page.locator('#labels .predicted').first().waitFor();
  await page.locator('#words:not(.stale) svg').waitFor();
}

const scores = (page) => page.locator('#labels .number').allTextContents();

/** Checks that nothing is wider than the window, and that no text is cut off. */
async function nothingOverflows(page) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const isOutside = (one) => {
      const box = one.getBoundingClientRect();
      return box.width > 0 && !one.classList.contains('hidden') && (box.right > width + 0.5 || box.left < -0.5);
    };
    const isCutOff = (one) => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1
      && !one.classList.contains('hidden') && getComputedStyle(one).display !== 'inline';
    const all = [...document.body.querySelectorAll('*:not(svg *):not(option)')];
    const found = all.filter((one) => isOutside(one) || isCutOff(one));
    return found.map((one) => `${one.tagName}#${one.id}.${one.className}`);
  });
  assert.deepEqual(wide, []);
}

/** Checks contrast, names and roles with axe. */
async function isAccessible(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate('axe.run()');
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  assert.deepEqual(found, []);
}

async function closed(page, expected = []) {
  assert.deepEqual(page.problems.filter((problem) => !expected.some((known) => known.test(problem))), []);
  await page.context().close();
}

const tests = {
  async 'labels and words follow the keys'({ browser, address }) {
    for (const [width, height] of SIZES) {
      for (const colorScheme of SCHEMES) {
        const page = await open(browser, address, { width, height, colorScheme });
        // The page puts the cursor into the text.
        await page.locator('#text:focus').waitFor();
        await page.keyboard.type('I am so happy', { delay: 20 });
        await settled(page);
        const before = await scores(page);
        assert.equal(before.length, 7);
        assert.ok(await page.locator('#key-form').isHidden());
        await page.keyboard.type(', but I miss you terribly.', { delay: 20 });
        await page.waitForFunction((old) => (
          [...document.querySelectorAll('#labels .number')].some((one, at) => one.textContent !== old[at])
        ), before);
        await settled(page);
        assert.equal(await page.locator('#shaded').textContent(), 'I am so happy, but I miss you terribly.');
        assert.ok(await page.locator('#shaded .for').count() > 0);
        assert.match(await page.locator('#bars svg').getAttribute('aria-label'), /miss/);
        await page.waitForFunction(() => document.getElementById('announcement').textContent.endsWith('%'));
        await nothingOverflows(page);
        await isAccessible(page);
        await page.screenshot({ path: `${screenshots}/page-${width}-${colorScheme}.png`, fullPage: true });
        await closed(page);
      }
    }
  },

  async 'the keyboard suffices'({ browser, address }) {
    const page = await open(browser, address);
    await page.locator('#text:focus').waitFor();
    await page.keyboard.type('I miss you');
    await settled(page);
    assert.equal(await page.locator('#words-heading').textContent(), 'Words for sadness');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'target');
    await page.keyboard.type('happiness');
    await page.locator('#words-heading', { hasText: 'Words for happiness' }).waitFor();
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'model');
    const asked = page.waitForRequest((request) => request.url().endsWith('/models/other'));
    await page.keyboard.press('ArrowDown');
    await asked;
    await settled(page);
    await closed(page);
  },

  async 'late answers are dropped'({ browser, address }) {
    let held;
    const prepare = (page) => page.route('**/models/emotion', async (route) => {
      if (!route.request().postData()?.includes('"I am so happy"')) return route.continue();
      held = route;
    });
    const page = await open(browser, address, { prepare });
    await page.locator('#text').fill('I am so happy');
    while (!held) await page.waitForTimeout(10);
    await page.locator('#text').fill('I miss you');
    await settled(page);
    const before = await scores(page);
    await held.fulfill({ json: [[{ label: 'joy', score: 1 }]] }).catch(() => {});
    await page.waitForTimeout(300);
    assert.deepEqual(await scores(page), before);
    assert.equal(await page.locator('#labels .predicted .name').textContent(), 'sadness');
    await closed(page);
  },

  async 'an empty text shows nothing'({ browser, address }) {
    const page = await open(browser, address);
    await page.locator('#text').fill('I miss you');
    await settled(page);
    await page.locator('#text').fill('');
    await page.locator('#results').waitFor({ state: 'hidden' });
    await isAccessible(page);
    await closed(page);
  },

  async 'texts are shown as they are'({ browser, address }) {
    for (const text of ['<img src=x onerror=alert(1)> & "quotes"', `🎉 naïve 漢字\n\n${LONG}`, '\u{1f468}\u200d\u{1f469} \u0301 x']) {
      const page = await open(browser, address, { width: 400 });
      await page.locator('#text').fill(text);
      await settled(page);
      assert.equal(await page.locator('#shaded').textContent(), text);
      await nothingOverflows(page);
      await closed(page);
    }
  },

  async 'a cut text says so'({ browser, address }) {
    const page = await open(browser, address, { width: 400 });
    await page.locator('#text').fill('happy '.repeat(600));
    await settled(page);
    assert.match(await page.locator('#cut').textContent(), /^The model reads 512 tokens; the text is cut at character 3060\.$/);
    await nothingOverflows(page);
    await closed(page);
  },

  async 'an overloaded server is asked again'({ browser, address }) {
    // The description of the model and the first request for labels.
    const refused = new Set();
    const prepare = (page) => page.route('**/models/emotion', (route) => {
      const url = route.request().url();
      if (refused.has(url)) return route.continue();
      refused.add(url);
      return route.fulfill({
        status: 429, headers: { 'retry-after': '1' }, json: { error: 'the queue is full', error_type: 'Overloaded' },
      });
    });
    const page = await open(browser, address, { prepare });
    await page.locator('#text').fill('I miss you');
    await page.locator('#error', { hasText: 'The server is busy. Trying again…' }).waitFor();
    await settled(page);
    assert.equal(refused.size, 2);
    assert.equal(await page.locator('#error').textContent(), '');
    await closed(page, [/429/]);
  },

  async 'errors are words'({ browser }) {
    const server = await start(program, folder, { options: ['--max-body=300'] });
    const page = await open(browser, server.address);
    await page.locator('#text').fill('happy '.repeat(100));
    await page.locator('#error', { hasText: 'The text is too long for this server.' }).waitFor();
    await page.locator('#text').fill('happy');
    await settled(page);
    assert.equal(await page.locator('#error').textContent(), '');
    assert.equal(await server.stop(), 0);
    await page.locator('#text').fill('happy day');
    await page.locator('#error', { hasText: 'The server cannot be reached.' }).waitFor();
    await closed(page, [/413/, /failed/, /ERR_CONNECTION/]);
  },

  async 'a model without explanations says so'({ browser }) {
    const server = await start(program, folder, { options: ['--precision=int8'] });
    const page = await open(browser, server.address, { width: 400 });
    await page.locator('#text').fill('I miss you');
    await page.locator('#words-error', { hasText: 'Explanations need a model in f32 or f16.' }).waitFor();
    assert.ok(await page.locator('#target').isHidden());
    assert.equal(await page.locator('#labels .predicted .name').textContent(), 'sadness');
    // It is not asked again.
    page.on('request', (request) => {
      if (request.url().endsWith('/explain')) page.problems.push('the explanation is asked for again');
    });
    await page.locator('#text').fill('I miss you all');
    await page.waitForTimeout(500);
    await isAccessible(page);
    await page.screenshot({ path: `${screenshots}/int8-400-light.png` });
    await closed(page, [/422/]);
    assert.equal(await server.stop(), 0);
  },

  async 'a key is asked for'({ browser }) {
    const server = await start(program, folder, { key: 'secret' });
    const page = await open(browser, server.address, { width: 400 });
    await page.locator('#error', { hasText: 'This server requires a key.' }).waitFor();
    await nothingOverflows(page);
    await page.screenshot({ path: `${screenshots}/key-400-light.png` });
    await page.locator('#key:focus').waitFor();
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.locator('#error', { hasText: 'The key is not valid.' }).waitFor();
    await page.locator('#key').fill('secret');
    await page.keyboard.press('Enter');
    await page.locator('#text:focus').waitFor();
    await page.keyboard.type('I miss you');
    await settled(page);
    assert.ok(await page.locator('#key-form').isHidden());
    await closed(page, [/401/]);
    assert.equal(await server.stop(), 0);
  },

  async 'the reference describes every endpoint'({ browser, address }) {
    const api = await (await fetch(`${address}/openapi.json`)).json();
    const count = Object.values(api.paths).flatMap(Object.keys).length;
    for (const [width, height] of SIZES) {
      for (const colorScheme of SCHEMES) {
        const page = await open(browser, `${address}/docs`, { width, height, colorScheme });
        await page.locator('article').first().waitFor();
        assert.equal(await page.locator('article').count(), count);
        const article = page.locator('#predict');
        await article.getByText('Request', { exact: true }).click();
        await article.getByText('Answer', { exact: true }).click();
        await article.getByText('Try it').click();
        await article.getByRole('button', { name: 'Send' }).click();
        await article.locator('pre', { hasText: /^200/ }).waitFor();
        await nothingOverflows(page);
        await isAccessible(page);
        await page.screenshot({ path: `${screenshots}/docs-${width}-${colorScheme}.png`, fullPage: true });
        await closed(page);
      }
    }
  },
};

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
const server = await start(program, folder);
let failures = 0;
const only = process.env.ONLY;
for (const [name, test] of Object.entries(tests)) {
  if (only && !name.includes(only)) continue;
  try {
    await test({ browser, address: server.address });
    console.log(`ok: ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED: ${name}\n${error.stack}`);
  }
}
await browser.close();
const status = await server.stop();
if (status !== 0) console.log(`FAILED: the server exited with ${status}`);
process.exit(failures === 0 && status === 0 ? 0 : 1);
