// Asks a provider by the packages that its customers use, and prints what each call came to as a JSON object: name -> [cache, text].

import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const OpenAI = require("openai");
const Anthropic = require("@anthropic-ai/sdk");

const base = process.argv[2];
const openai = new OpenAI({ baseURL: base + "/v1", apiKey: "sk-one", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: base, apiKey: "sk-ant", maxRetries: 0 });

async function chat(prompt, more = {}) {
  const messages = [{ role: "user", content: prompt }];
  const call = openai.chat.completions.create({ model: "gpt-test", messages, temperature: 0, ...more });
  const { data, response } = await call.withResponse();
  let text = "";
  if (more.stream) {
    for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? "";
  } else {
    text = data.choices[0].message.content;
  }
  return [response.headers.get("x-cache"), text.trim()];
}

async function message(prompt, stream = false) {
  const messages = [{ role: "user", content: prompt }];
  const call = anthropic.messages.create({ model: "claude-test", max_tokens: 99, messages, temperature: 0, stream });
  const { data, response } = await call.withResponse();
  let text = "";
  if (stream) {
    for await (const event of data) if (event.type === "content_block_delta") text += event.delta.text;
  } else {
    text = data.content[0].text;
  }
  return [response.headers.get("x-cache"), text.trim()];
}

// What is asked again until it is stored.
async function untilHit(ask) {
  let answer;
  for (let count = 0; count < 200; count++) {
    answer = await ask();
    if (answer[0] === "HIT") break;
    await new Promise((done) => setTimeout(done, 10));
  }
  return answer;
}

const said = {};
for (const [name, ask] of [
  ["chat", () => chat("one two three")],
  ["chat stream", () => chat("one two three", { stream: true })],
  ["messages", () => message("six seven")],
  ["messages stream", () => message("six seven", true)],
]) {
  said[name] = await ask();
  said[name + " again"] = await untilHit(ask);
}
for (const [name, stream, whole] of [
  ["chat", (prompt) => chat(prompt, { stream: true }), chat],
  ["messages", (prompt) => message(prompt, true), message],
]) {
  await stream(name + " asks for a stream");
  said[name + " converted"] = await untilHit(() => whole(name + " asks for a stream"));
}
const crowd = await Promise.all(Array.from({ length: 20 }, () => chat("a crowd of people", { stream: true })));
said["crowd"] = ["", [...new Set(crowd.map(([, text]) => text))].join(" | ")];
console.log(JSON.stringify(said));
