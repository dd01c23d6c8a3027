// A small API in Node, without a framework, that names its lifetimes and tags itself: node server.mjs HOST:PORT
import { createServer } from 'node:http'

const items = new Map([[1, { id: 1, name: 'lamp' }], [2, { id: 2, name: 'chair' }]])

createServer(async (request, response) => {
  const id = Number(/^\/items\/(\d+)$/.exec(request.url)?.[1])
  const send = (status, value, tags) => {
    if (tags) response.setHeader('Cache-Control', 'max-age=300').setHeader('Surrogate-Key', tags)
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
  }
  if (request.method === 'GET' && request.url === '/items') return send(200, [...items.values()], 'items')
  if (!items.has(id)) return send(404, { error: 'no such item' })
  if (request.method === 'GET') return send(200, items.get(id), `items item-${id}`)
  if (request.method !== 'PUT') return send(405, { error: 'GET or PUT' })
  let body = ''
  for await (const piece of request) body += piece
  items.set(id, { id, name: JSON.parse(body).name })
  send(200, items.get(id))
}).listen(Number(process.argv[2].split(':')[1]), process.argv[2].split(':')[0])
