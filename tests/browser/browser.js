// A headless Chromium, driven over its own protocol by a pipe: no package is needed for it.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const MAX_WAIT = 30000;

/** A browser with one page. Everything that the page reports as an error is kept. */
class Browser {
  static async start(program = process.env.CHROMIUM || 'chromium') {
    const browser = new Browser();
    browser.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-browser-'));
    const flags = [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-extensions', '--disable-background-networking',
      '--no-first-run', '--force-color-profile=srgb', `--user-data-dir=${browser.profile}`, '--remote-debugging-pipe', 'about:blank',
    ];
    browser.process = spawn(program, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    browser.process.on('error', (error) => browser.fail(new Error(`${program}: ${error.message}`)));
    browser.process.on('exit', (code) => browser.fail(new Error(`the browser has ended with ${code}`)));
    browser.answers = browser.process.stdio[4];
    browser.answers.on('data', (bytes) => browser.receive(bytes));
    const { targetInfos } = await browser.ask('Target.getTargets');
    const page = targetInfos.find((target) => target.type === 'page');
    browser.session = (await browser.ask('Target.attachToTarget', { targetId: page.targetId, flatten: true })).sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.ask(`${domain}.enable`);
    return browser;
  }

  constructor() {
    this.number = 0;
    this.waiting = new Map();
    this.rest = Buffer.alloc(0);
    this.errors = [];
    this.requested = [];
    this.loads = 0;
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  receive(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    for (let end = this.rest.indexOf(0); end >= 0; end = this.rest.indexOf(0)) {
      this.hear(JSON.parse(this.rest.subarray(0, end).toString('utf8')));
      this.rest = this.rest.subarray(end + 1);
    }
  }

  hear({ id, error, result, method, params }) {
    if (id) {
      const asked = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) asked?.reject(new Error(`${asked.method}: ${error.message}`));
      else asked?.resolve(result);
    } else if (method === 'Runtime.exceptionThrown') {
      this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === 'Runtime.consoleAPICalled' && params.type === 'error') {
      this.errors.push(params.args.map((argument) => argument.value ?? argument.description).join(' '));
    } else if (method === 'Log.entryAdded' && params.entry.level === 'error') {
      this.errors.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    } else if (method === 'Network.requestWillBeSent') {
      this.requested.push(params.request.url);
    } else if (method === 'Page.loadEventFired') {
      this.loads += 1;
    }
  }

  /** A command of the protocol. */
  ask(method, params = {}) {
    const id = ++this.number;
    const command = { id, method, params, ...(this.session && { sessionId: this.session }) };
    this.process.stdio[3].write(`${JSON.stringify(command)}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { method, resolve, reject }));
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.ask('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression) {
    const end = Date.now() + MAX_WAIT;
    let last;
    while (Date.now() < end) {
      try {
        last = await this.value(expression);
        if (last) return last;
      } catch (error) {
        // A page that is just being replaced has no answer.
        last = error.message;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never true: ${expression}; last it was ${JSON.stringify(last)}; errors: ${this.errors.join('; ')}`);
  }

  /** Does something that loads a page, and waits for it. */
  async loading(action) {
    const before = this.loads;
    await action();
    const end = Date.now() + MAX_WAIT;
    while (this.loads === before) {
      if (Date.now() > end) throw new Error('no page was loaded');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  go(url) {
    return this.loading(() => this.ask('Page.navigate', { url }));
  }

  /** Fills fields of the form in the page's content, and sends it by the button with this text. */
  submit(fields, button) {
    const script = `(() => {
      for (const [name, value] of Object.entries(${JSON.stringify(fields)})) document.querySelector('main [name="' + name + '"]').value = value;
      [...document.querySelectorAll('main button')].find((own) => own.textContent === ${JSON.stringify(button)}).click();
    })()`;
    return this.loading(() => this.value(script));
  }

  async press(key) {
    await this.ask('Input.dispatchKeyEvent', { type: 'keyDown', key, text: key.length === 1 ? key : undefined });
    await this.ask('Input.dispatchKeyEvent', { type: 'keyUp', key });
  }

  async screenshot(file) {
    const { data } = await this.ask('Page.captureScreenshot', { format: 'png' });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    // It ends its own children, and then itself.
    this.session = undefined;
    await Promise.race([this.ask('Browser.close').catch(() => {}), ended]);
    await ended;
    try {
      fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
    } catch {
      // The last of its children still writes there; it is a temporary folder.
    }
  }
}

module.exports = { Browser };
