// A chat: messages are posted, listed, and streamed as server-sent events. node server.mjs HOST:PORT
import { createServer } from 'node:http'

const messages = []
const listeners = new Set()

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://chat')
  if (request.method === 'GET' && url.pathname === '/messages') {
    return response.setHeader('Content-Type', 'application/json').end(JSON.stringify(messages))
  }
  if (request.method === 'POST' && url.pathname === '/messages') {
    let text = ''
    for await (const piece of request) text += piece
    messages.push(text)
    for (const tell of listeners) tell(text)
    return response.writeHead(201).end()
  }
  if (request.method === 'GET' && url.pathname === '/events') {
    // ?count=2 ends the stream after so many messages; those that were said before come first.
    let left = Number(url.searchParams.get('count') ?? Infinity)
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    const tell = (text) => {
      response.write(`data: ${text}\n\n`)
      if (--left <= 0) response.end()
    }
    listeners.add(tell)
    response.on('close', () => listeners.delete(tell))
    return messages.forEach((text) => left > 0 && tell(text))
  }
  response.writeHead(404).end()
}).listen(Number(process.argv[2].split(':')[1]), process.argv[2].split(':')[0])
