// What a person sees and does on the dashboard, each by a name: node dashboard.js NAME ADMIN-URL PUBLIC-URL
'use strict';

const assert = require('node:assert/strict');
const { Browser } = require('./browser.js');

const [, , name, admin, gateway] = process.argv;

const VIEWS = ['overview', 'routes', 'upstreams', 'tiers', 'keys', 'explain', 'purge', 'tail', 'config', 'limits'];
const view = (word) => `${admin}/?view=${word}`;
const text = (selector) => `(document.querySelector(${JSON.stringify(selector)})?.textContent ?? '')`;
const get = (target) => fetch(`${gateway}${target}`).then((answer) => answer.text());

const STORIES = {
  /** Every view loads, in both colours, on a wide screen and on a phone, and nothing comes from elsewhere. */
  async loads(browser) {
    await get('/a');
    const grounds = new Set();
    for (const [scheme, width] of [['light', 1280], ['dark', 390]]) {
      await browser.ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
      await browser.ask('Emulation.setDeviceMetricsOverride', { width, height: 800, deviceScaleFactor: 1, mobile: width < 500 });
      for (const word of VIEWS) {
        await browser.go(view(word));
        assert.equal(await browser.value('document.querySelectorAll("nav [aria-current=page]").length'), 1, word);
        assert.ok(await browser.value('document.documentElement.scrollWidth <= innerWidth'), `${word} is wider than ${width}`);
        assert.equal(await browser.value('document.querySelectorAll("[style], script:not([src]), [onclick]").length'), 0, word);
        const labels = '[...document.querySelectorAll("input:not([type=hidden]), select, textarea")].every((field) => field.labels.length === 1)';
        assert.ok(await browser.value(labels), `${word}: a field without a label`);
      }
      grounds.add(await browser.value('getComputedStyle(document.body).backgroundColor'));
    }
    assert.equal(grounds.size, 2, 'dark and light differ');
    const foreign = browser.requested.filter((url) => !url.startsWith(admin) && !/^(about|data):/.test(url));
    assert.deepEqual(foreign, []);
  },

  /** Figures and lines follow what happens, without the page being loaded again. */
  async moves(browser) {
    await browser.go(view('overview'));
    await browser.until(`${text('#live')} === 'live'`);
    await browser.value('window.stays = true');
    const before = await browser.value('document.querySelector("#chart-requests").outerHTML');
    for (let count = 0; count < 40; count += 1) await get('/a');
    await browser.until(`document.querySelector("#chart-requests .line").getAttribute("d").length > 0 && document.querySelector("#chart-requests").outerHTML !== ${JSON.stringify(before)}`);
    await browser.until(`${text('#tiles')}.includes('97.5 %')`);
    assert.equal(await browser.value('window.stays'), true);
    await browser.press('p');
    await browser.until(`${text('#live')} === 'paused'`);
  },

  /** What models have cost and saved stands there, and follows what happens without the page being loaded again. */
  async spends(browser) {
    const ask = (team, prompt) =>
      fetch(`${gateway}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-team': team },
        body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: prompt }], temperature: 0 }),
      }).then((answer) => answer.text());
    await ask('blue', 'one');
    await browser.go(view('limits'));
    await browser.until(`${text('#live')} === 'live'`);
    await browser.value('window.stays = true');
    await browser.until(`${text('#limits')}.includes('llm.cost.month') && ${text('#limits')}.includes('1000 cost a month')`);
    const row = (block, cells) =>
      `[...document.querySelectorAll("#${block} tbody tr")].some((row) => [...row.cells].map((cell) => cell.textContent).join(" ") === ${JSON.stringify(cells)})`;
    await browser.until(row('spending-day-clients', 'blue 1 100 1.2 0 0 –'));
    await ask('green', 'one');
    await browser.until(row('spending-month-clients', 'green 0 0 – 1 100 1.2'));
    await browser.until(row('spending-month-models', 'gpt-4o 1 100 1.2 1 100 1.2'));
    await browser.until(row('spending-day-routes', 'models 1 100 1.2 1 100 1.2'));
    assert.equal(await browser.value('window.stays'), true);
    await browser.loading(() => browser.press('1'));
    await browser.until(`${text('#tiles')}.includes('Saved by stored answers this month')`);
    await browser.loading(() => browser.press('0'));
    assert.equal(await browser.value('document.querySelector("h1").textContent'), 'Limits and spending');
  },

  /** Keys go to views and fields, and write where something is being typed. */
  async keys(browser) {
    await browser.go(view('overview'));
    // The space bar is left to the button that has the focus, and to the page.
    const space = 'new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true })';
    assert.equal(await browser.value(`document.getElementById("pause").dispatchEvent(${space})`), true);
    await browser.loading(() => browser.press('6'));
    assert.equal(await browser.value('document.querySelector("h1").textContent'), 'Explain');
    await browser.press('/');
    assert.equal(await browser.value('document.activeElement.name'), 'url');
    await browser.press('2');
    assert.equal(await browser.value('document.activeElement.value'), '2');
  },

  /** What a purge would reach, the purge, and what is said of the URL before and after. */
  async purges(browser) {
    const url = `${gateway}/a`;
    await get('/a');
    await browser.go(view('explain'));
    await browser.submit({ url, fields: 'Accept: text/html' }, 'Explain');
    assert.match(await browser.value(text('#explanation')), /decision +HIT 200/);
    await browser.go(view('purge'));
    await browser.submit({ kind: 'urls', targets: url }, 'Preview');
    assert.match(await browser.value(text('#outcome')), /About 1 stored responses would be purged, on 1 replicas/);
    assert.match(await browser.value(text('#reached')), /\/a/);
    await browser.submit({}, 'Purge');
    assert.match(await browser.value(text('#outcome')), /applied on 1 of 1 replicas/);
    await browser.go(`${view('explain')}&url=${encodeURIComponent(url)}`);
    assert.match(await browser.value(text('#explanation')), /decision +MISS/);
    await browser.go(view('purge'));
    await browser.submit({ kind: 'tags', targets: 'a*b' }, 'Purge');
    assert.match(await browser.value(text('[role=alert]')), /is not a tag/);
  },

  /** What clients send is text, wherever it is shown. */
  async escapes(browser) {
    const evil = '/x?<script>window.hit=1</script>"><img src=x onerror=window.hit=1>';
    const send = () => new Promise((resolve, reject) => {
      // fetch would encode it.
      const { hostname, port } = new URL(gateway);
      const socket = require('node:net').connect(Number(port), hostname, () => {
        socket.write(`GET ${evil.replaceAll(' ', '%20')} HTTP/1.1\r\nHost: a.example"><script>window.hit=1</script>\r\nConnection: close\r\n\r\n`);
      });
      socket.on('error', reject).on('close', resolve).resume();
    });
    await browser.go(view('keys'));
    await send();
    await fetch(`${gateway}/${encodeURIComponent('<img src=y onerror=window.hit=1>')}`, { headers: { cookie: '<script>' } });
    await browser.until(`${text('#hottest')}.includes('onerror')`);
    await browser.go(view('tail'));
    await browser.until(`${text('#tail-state')}.startsWith('Live')`);
    await send();
    await fetch(`${gateway}/${'<svg onload=window.hit=1>'}`);
    await browser.until(`${text('#requests')}.includes('onload')`);
    await browser.go(`${view('explain')}&url=${encodeURIComponent(`${gateway}/"><script>window.hit=1</script>`)}`);
    await browser.go(`${view('explain')}&url=${encodeURIComponent('"><img src=z onerror=window.hit=1>')}`);
    assert.equal(await browser.value('window.hit'), undefined);
    assert.equal(await browser.value('document.querySelectorAll("main img, main script").length'), 0);
  },

  /** Of a route that is verified the agreement is shown, and leaks in red, and both follow what is found. */
  async verifies(browser) {
    await browser.go(view('routes'));
    assert.match(await browser.value(text('#verify')), /pages.*shadow/s);
    await browser.value('window.stays = true');
    for (let count = 0; count < 5; count += 1) await get('/a');
    await browser.until(`${text('#verify')}.includes('100.0 %')`);
    for (let count = 0; count < 3; count += 1) await get('/changing');
    await browser.until(`${text('#verify .warn')} >= '1'`);
    for (let round = 0; round < 2; round += 1) {
      for (const who of ['ann', 'bob']) await fetch(`${gateway}/me`, { headers: { authorization: who } }).then((answer) => answer.text());
    }
    await browser.until(`${text('#verify td.bad')}.includes('depend on who asks')`);
    assert.equal(await browser.value('window.stays'), true);
  },

  /** A token opens a session, of which the page itself knows nothing, and signing out ends it. */
  async signs_in(browser) {
    await browser.go(admin);
    assert.equal(await browser.value('document.querySelectorAll("nav").length'), 0, 'nothing is shown before');
    await browser.submit({ token: 'a-wrong-token-0123456789' }, 'Sign in');
    assert.match(await browser.value(text('[role=alert]')), /not known/);
    browser.errors.length = 0;
    await browser.submit({ token: process.env.LARDER_TEST_TOKEN }, 'Sign in');
    assert.equal(await browser.value('document.querySelector("h1").textContent'), 'Overview');
    assert.equal(await browser.value('document.cookie'), '', 'scripts cannot read it');
    await browser.until(`${text('#live')} === 'live'`);
    await browser.go(view('tail'));
    await browser.until(`${text('#tail-state')}.startsWith('Live')`);
    await browser.go(view('purge'));
    await browser.submit({ kind: 'all' }, 'Purge');
    assert.match(await browser.value(text('#outcome')), /applied on 1 of 1/);
    await browser.loading(() => browser.value('document.querySelector("header form button").click()'));
    assert.equal(await browser.value('document.querySelectorAll("nav").length'), 0);
  },

  /** Pictures for the documentation: node dashboard.js pictures ADMIN-URL FOLDER */
  async pictures(browser) {
    for (const [word, scheme] of [['overview', 'light'], ['overview', 'dark'], ['routes', 'light'], ['explain', 'light'], ['tiers', 'light'], ['config', 'dark'], ['tail', 'dark']]) {
      await browser.ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
      await browser.ask('Emulation.setDeviceMetricsOverride', { width: 1280, height: 900, deviceScaleFactor: 1, mobile: false });
      await browser.go(view(word));
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await browser.screenshot(`${gateway}/${word}-${scheme}.png`);
    }
    await browser.ask('Emulation.setDeviceMetricsOverride', { width: 390, height: 844, deviceScaleFactor: 1, mobile: true });
    await browser.go(view('overview'));
    await browser.screenshot(`${gateway}/overview-phone.png`);
  },
};

async function main() {
  const browser = await Browser.start();
  try {
    await STORIES[name](browser);
    // Answers to a sign-in that was refused are errors to the browser; everything else that is one is a fault of the page.
    const errors = browser.errors.filter((error) => !(name === 'signs_in' && error.includes('401')));
    assert.deepEqual(errors, []);
  } finally {
    await browser.stop();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
