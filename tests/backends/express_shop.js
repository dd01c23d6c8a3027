// A shop as many are written: Express with its defaults, sessions in a cookie, and no word about caching.
const express = require('express')

const app = express()
const session = (request) => /(?:^|; )session=([^;]*)/.exec(request.headers.cookie || '')?.[1] || 'nobody'

// Whatever follows is answered as the account itself, as a single-page application's server does it.
app.use('/api/me', (request, response) => response.send(`account of ${session(request)}`))
app.get('/home', (request, response) => response.send(`welcome, ${session(request)}`))
app.get('/page', (request, response) => response.send(`page for ${request.query.utm_source || 'everyone'}`))
app.get('/*', (request, response) => response.send(`public ${request.path}`))

const [host, port] = process.argv.slice(2)
app.listen(Number(port), host, () => console.log('listening'))
