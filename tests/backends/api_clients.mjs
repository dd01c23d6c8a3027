// Asks backends that hide their reads behind POST by the packages that people use for them, and prints what each call came to as a JSON object:
// name -> [cache, text].

import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const { GoogleGenAI } = require("@google/genai");
const { Ollama } = require("ollama");
const { FetchRequest, JsonRpcProvider, Network } = require("ethers");
const { Client } = require("@elastic/elasticsearch");

const base = process.argv[2];

// What the cache said of the last answer: two of these packages do not show fields of answers, and all of them that use fetch use this one.
let cache = null;
const plain = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const answer = await plain(...request);
  cache = answer.headers.get("x-cache");
  return answer;
};

const gemini = new GoogleGenAI({ apiKey: "key-one", httpOptions: { baseUrl: base } });
const ollama = new Ollama({ host: base, fetch: globalThis.fetch });
const elastic = new Client({ node: base, maxRetries: 0 });
const packed = new Client({ node: base, maxRetries: 0, compression: true });

async function ask(contents) {
  const answer = await gemini.models.generateContent({ model: "gemini-test", contents, config: { temperature: 0 } });
  return [cache, answer.text];
}

async function stream(contents) {
  const pieces = await gemini.models.generateContentStream({ model: "gemini-test", contents, config: { temperature: 0 } });
  let text = "";
  for await (const piece of pieces) text += piece.text ?? "";
  return [cache, text];
}

async function embed(contents) {
  const answer = await gemini.models.embedContent({ model: "embed-test", contents });
  return [cache, JSON.stringify(answer.embeddings.map((embedding) => embedding.values))];
}

async function chat(prompt, streams) {
  const messages = [{ role: "user", content: prompt }];
  const answer = await ollama.chat({ model: "llama-test", messages, stream: streams, options: { temperature: 0 } });
  if (!streams) return [cache, answer.message.content];
  let text = "";
  for await (const piece of answer) text += piece.message.content;
  return [cache, text];
}

async function search(client, title) {
  const { body, headers } = await client.search({ index: "issues", query: { match: { title } }, size: 10 }, { meta: true });
  return [headers["x-cache"], body.hits.hits.map((hit) => hit._source.title).join()];
}

/** A provider that sends so many calls at once, and remembers nothing by itself. */
function chain(batchMaxCount) {
  const request = new FetchRequest(base + "/rpc");
  const network = Network.from(1);
  request.processFunc = async (_, answer) => {
    cache = answer.headers["x-cache"];
    return answer;
  };
  return new JsonRpcProvider(request, network, { staticNetwork: network, batchMaxCount, batchStallTime: 10, cacheTimeout: -1 });
}

const [alone, together] = [chain(1), chain(100)];

async function call(method, params = []) {
  const result = await alone.send(method, params);
  return [cache, JSON.stringify(result)];
}

async function calls(...methods) {
  const results = await Promise.all(methods.map((method) => together.send(method, [])));
  return [cache, JSON.stringify(results)];
}

async function refused() {
  try {
    await call("eth_unknown");
  } catch (error) {
    return [cache, error.code];
  }
  return [cache, "answered"];
}

const said = {};
for (const [name, ask_for] of [
  ["gemini", () => ask("one two")],
  ["gemini stream", () => stream("one two")],
  ["gemini embeddings", () => embed(["one", "two"])],
  ["ollama", () => chat("three four", false)],
  ["ollama stream", () => chat("three four", true)],
  ["search", () => search(elastic, "cache")],
  ["call", () => call("eth_chainId")],
  ["call with parameters", () => call("eth_getBalance", ["0x01", "latest"])],
  ["batch", () => calls("eth_gasPrice", "net_version")],
]) {
  said[name] = await ask_for();
  said[name + " again"] = await ask_for();
}
said["search packed"] = await search(packed, "cache");
said["search other"] = await search(elastic, "other");
said["gemini embeddings rest"] = await embed(["two", "three"]);
said["call other parameters"] = await call("eth_getBalance", ["0x02", "latest"]);
said["batch rest"] = await calls("eth_gasPrice", "web3_clientVersion");
said["refused"] = await refused();
said["refused again"] = await refused();
alone.destroy();
together.destroy();
console.log(JSON.stringify(said));
