// Answers as the APIs of Gemini, Ollama, Elasticsearch and a chain's node do: node api_backend.mjs HOST PORT. A model says its prompt in capitals, and a
// search finds what it is asked for. `GET /asked` tells the bodies that came, by target.

import { createServer } from "node:http";

const [, , host, port] = process.argv;
const asked = {};

const JSON_TYPE = "application/json";
const candidate = (text, finishReason) => ({
  candidates: [{ content: { role: "model", parts: [{ text }] }, finishReason }],
  usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 },
});
const halves = (text) => [text.slice(0, text.length / 2), text.slice(text.length / 2)];
const gemini = (body) => body.contents[0].parts[0].text.toUpperCase();
const said = (content) => ({ model: "llama-test", message: { role: "assistant", content } });
const rpc = ({ id, method, params }) =>
  method === "eth_unknown"
    ? { jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } }
    : { jsonrpc: "2.0", id, result: method + JSON.stringify(params) };

// What a provider sends with every answer of a model to one of its customers.
const PROVIDED = { "cache-control": "private, no-cache" };
const givesFields = (target) => target.startsWith("/v1/models/");

// Each returns the type of its answer and its pieces.
const APIS = {
  "/v1/models/gemini-test:generateContent": (body) => [JSON_TYPE, [JSON.stringify(candidate(gemini(body), "STOP"))]],
  "/v1/models/gemini-test:streamGenerateContent?alt=sse": (body) => {
    const [one, other] = halves(gemini(body));
    return ["text/event-stream", [candidate(one), candidate(other, "STOP")].map((event) => `data: ${JSON.stringify(event)}\n\n`)];
  },
  "/v1/models/embed-test:batchEmbedContents": (body) => {
    const embeddings = body.requests.map((one) => ({ values: [one.content.parts[0].text.length] }));
    return [JSON_TYPE, [JSON.stringify({ embeddings })]];
  },
  "/api/chat": (body) => {
    const text = body.messages[0].content.toUpperCase();
    const end = { done: true, done_reason: "stop", eval_count: 2 };
    if (!body.stream) return [JSON_TYPE, [JSON.stringify({ ...said(text), ...end })]];
    const [one, other] = halves(text);
    const lines = [{ ...said(one), done: false }, { ...said(other), ...end }];
    return ["application/x-ndjson", lines.map((line) => JSON.stringify(line) + "\n")];
  },
  "/issues/_search": (body, accept) => {
    const title = body.query?.match.title ?? "packed";
    return [accept, [JSON.stringify({ took: 1, timed_out: false, hits: { hits: [{ _source: { title } }] } })]];
  },
  "/rpc": (body) => [JSON_TYPE, [JSON.stringify(Array.isArray(body) ? body.map(rpc) : rpc(body))]],
};

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  if (request.url === "/asked") return response.end(JSON.stringify(asked));
  const text = Buffer.concat(pieces).toString();
  (asked[request.url] ??= []).push(text);
  const body = request.headers["content-encoding"] ? {} : JSON.parse(text);
  const [type, parts] = APIS[request.url](body, request.headers.accept);
  // Without the last field the package takes nobody for Elasticsearch.
  response.writeHead(200, { "content-type": type, "x-elastic-product": "Elasticsearch", ...(givesFields(request.url) && PROVIDED) });
  parts.forEach((part) => response.write(part));
  response.end();
});
server.listen(Number(port), host);
